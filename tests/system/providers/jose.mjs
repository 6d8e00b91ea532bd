// The npm package `jose` at the command line. A JSON object comes in at stdin, and one goes out at stdout.
//
// node jose.mjs mint    {"jwk", "alg", "claims"}                       -> {"token"}
// node jose.mjs verify  {"token", "jwks_url" | "jwk", "issuer", "audience"}   -> {"claims", "header"} or {"error"}

import { text } from 'node:stream/consumers';
import { SignJWT, createRemoteJWKSet, importJWK, jwtVerify } from 'jose';

const [, , command] = process.argv;
const asked = JSON.parse(await text(process.stdin));

async function mint({ jwk, alg, claims }) {
  const key = await importJWK(jwk, alg);
  const token = await new SignJWT(claims).setProtectedHeader({ alg, kid: jwk.kid, typ: 'at+jwt' }).sign(key);
  return { token };
}

async function verify({ token, jwks_url: url, jwk, issuer, audience }) {
  const key = url ? createRemoteJWKSet(new URL(url)) : await importJWK(jwk, jwk.alg);
  try {
    const { payload, protectedHeader } = await jwtVerify(token, key, { issuer, audience });
    return { claims: payload, header: protectedHeader };
  } catch (error) {
    return { error: error.code };
  }
}

console.log(JSON.stringify(await { mint, verify }[command](asked)));
