// What every server of the benchmark answers, and where it is told what to believe.
export const { BENCH_ISSUER: ISSUER, BENCH_AUDIENCE: AUDIENCE } = process.env;
export const PORT = Number(process.env.PORT);

const MESSAGE =
  "Hello from a private endpoint! You need an access token with the scope read:messages to see this.";

export function answerFor(claims) {
  return { message: MESSAGE, subject: claims.sub, scopes: claims.scope.split(" ") };
}

// For those that check no scopes themselves.
export function grants(claims, scope) {
  return (claims.scope ?? "").split(" ").includes(scope);
}
