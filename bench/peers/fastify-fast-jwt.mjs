// Fastify with fast-jwt and its cache; keys by get-jwks, as the README of that has it.
import { createVerifier } from "fast-jwt";
import buildGetJwks from "get-jwks";
import { ISSUER, AUDIENCE } from "./answer.mjs";
import { create, serve } from "./fastify-app.mjs";

const getJwks = buildGetJwks({ issuersWhitelist: [ISSUER] });
const verify = createVerifier({
  key: async ({ header }) =>
    getJwks.getPublicKey({ kid: header.kid, alg: header.alg, domain: ISSUER }),
  cache: 10_000, // as many as Keyturn keeps; `true` is 1,000
  algorithms: ["RS256"],
  allowedIss: ISSUER,
  allowedAud: AUDIENCE,
  requiredClaims: ["exp"],
});

async function authenticate(request, reply) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  try {
    if (scheme !== "Bearer") throw new Error("no token");
    request.user = await verify(token);
  } catch {
    return reply.code(401).header("WWW-Authenticate", "Bearer").send({ error: "invalid_token" });
  }
}

const fastify = create();
fastify.decorateRequest("user", null);
await serve(fastify, authenticate);
