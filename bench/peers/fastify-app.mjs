// What both Fastify peers share: the route, its response schema (Fastify's advice), the scope.
import Fastify from "fastify";
import { PORT, answerFor, grants } from "./answer.mjs";

const schema = {
  response: {
    200: {
      type: "object",
      properties: {
        message: { type: "string" },
        subject: { type: "string" },
        scopes: { type: "array", items: { type: "string" } },
      },
    },
  },
};

async function requireScope(request, reply) {
  if (!grants(request.user, "read:messages")) {
    return reply.code(403).send({ error: "insufficient_scope" });
  }
}

// LOG is the file that pino writes to; without it there is no logger.
export function create() {
  const file = process.env.LOG;
  return Fastify({ logger: file ? { level: "info", file } : false });
}

export async function serve(fastify, authenticate) {
  fastify.get(
    "/api/private-scoped",
    { schema, preValidation: [authenticate, requireScope] },
    async (request) => answerFor(request.user),
  );
  await fastify.listen({ port: PORT, host: "127.0.0.1", backlog: 1024 });
}
