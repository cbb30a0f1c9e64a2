// An OpenID provider for tests, of the oidc-provider package. Usage: node op.mjs < CONFIGURATION, a JSON text.
// It writes "ready" when it listens.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const { port, issuer, client, people, algorithm, groupsInToken, keys } = JSON.parse(readFileSync(0, "utf8"));

const claimsOf = (name) => ({
  sub: `number-of-${name}`,
  name: people[name].display_name,
  preferred_username: name,
  email: "the-same@example.com",
  email_verified: true,
  groups: people[name].groups,
});
const nameOf = (sub) => sub.replace(/^number-of-/, "");

const escaped = (text) => String(text).replace(/[^A-Za-z0-9 ]/g, (one) => `&#${one.codePointAt(0)};`);
const page = (title, body) =>
  `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>` +
  `<body><main><h1>${title}</h1>${body}</main></body></html>`;
const loginPage = (action, wrong) =>
  page(
    "Sign in at the provider",
    `${wrong ? '<p role="alert">Name or password are wrong.</p>' : ""}<form method="post" action="${escaped(action)}">` +
      '<label>Name <input name="username" autocomplete="username" autofocus></label> ' +
      '<label>Password <input name="password" type="password" autocomplete="current-password"></label> ' +
      '<button type="submit">Sign in</button> <button type="submit" name="cancel" value="yes">Cancel</button></form>',
  );

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      redirect_uris: client.redirect_addresses,
      post_logout_redirect_uris: client.logout_addresses,
      token_endpoint_auth_method: client.proves_by,
      id_token_signed_response_alg: algorithm,
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  jwks: { keys },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256"] },
  claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"], email: ["email", "email_verified"] },
  conformIdTokenClaims: !groupsInToken,
  cookies: { keys: [randomUUID()] },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (context, form) => {
        context.type = "html";
        context.body = page(
          "Sign out at the provider",
          `${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`,
        );
      },
    },
  },
  findAccount: (_context, sub) =>
    people[nameOf(sub)] && { accountId: sub, claims: () => claimsOf(nameOf(sub)) },
  interactions: { url: (_context, interaction) => `/sign-in/${interaction.uid}` },
  // Nobody is asked whether the client may know the name: administrators decided that.
  loadExistingGrant: async ({ oidc }) => {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
  ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 3600, IdToken: 300, Interaction: 600, Session: 3600 },
});

const formOf = async (request) => {
  let text = "";
  for await (const piece of request) text += piece;
  return new URLSearchParams(text);
};

provider.use(async (context, next) => {
  if (!context.path.startsWith("/sign-in/")) return next();
  if (context.method === "GET") {
    context.type = "html";
    context.body = loginPage(context.path, false);
    return undefined;
  }
  const form = await formOf(context.req);
  const name = form.get("username");
  const isRight = Object.hasOwn(people, name) && people[name].password === form.get("password");
  if (!isRight && !form.has("cancel")) {
    context.status = 401;
    context.type = "html";
    context.body = loginPage(context.path, true);
    return undefined;
  }
  const outcome = form.has("cancel")
    ? { error: "access_denied", error_description: "the person broke off" }
    : { login: { accountId: claimsOf(name).sub } };
  context.respond = false;
  return provider.interactionFinished(context.req, context.res, outcome, { mergeWithLastSubmission: false });
});
provider.on("server_error", (_context, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log("ready"));
