// Fastify with fastify-jwt-jwks, as the README of the latter has it.
import fastifyJwtJwks from "fastify-jwt-jwks";
import { ISSUER, AUDIENCE } from "./answer.mjs";
import { create, serve } from "./fastify-app.mjs";

const fastify = create();
await fastify.register(fastifyJwtJwks, {
  jwksUrl: `${ISSUER}.well-known/jwks.json`,
  issuer: ISSUER,
  audience: AUDIENCE,
});
await serve(fastify, fastify.authenticate);
