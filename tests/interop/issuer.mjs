// A certified OpenID provider as the issuer of JWT access tokens; POST /rotate turns its key.
import { createServer } from "node:http";
import { generateKeyPair, exportJWK, calculateJwkThumbprint } from "jose";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://localhost:${port}`;

async function newKey() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const key = await exportJWK(privateKey);
  return { ...key, kid: await calculateJwkThumbprint(key), use: "sig", alg: "RS256" };
}

function provider(keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: "app",
        client_secret: "app-secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ["openid", "read:messages"],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "https://quickstarts/api",
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "read:messages",
          audience: "https://quickstarts/api",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  }).callback();
}

let keys = [await newKey()];
let answer = provider(keys);

createServer(async (request, response) => {
  if (request.method === "POST" && request.url === "/rotate") {
    keys = [await newKey(), keys[0]];
    answer = provider(keys);
    response.end(JSON.stringify({ kid: keys[0].kid }));
  } else {
    answer(request, response);
  }
}).listen(port, "127.0.0.1", () => console.log(`listening on ${issuer}`));
