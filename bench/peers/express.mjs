// Express with express-oauth2-jwt-bearer, as the README of the latter has it.
import express from "express";
import { auth, requiredScopes } from "express-oauth2-jwt-bearer";
import { ISSUER, AUDIENCE, PORT, answerFor } from "./answer.mjs";

const app = express();
app.use(auth({ issuerBaseURL: ISSUER, audience: AUDIENCE }));
app.get("/api/private-scoped", requiredScopes("read:messages"), (request, response) => {
  response.json(answerFor(request.auth.payload));
});
app.listen(PORT, "127.0.0.1", 1024);
