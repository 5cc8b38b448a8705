// Starts the page: somebody signs in, and gets the app.
import { App } from "./app.js";
import { Host } from "./host.js";
import { offerSignIn } from "./sign_in.js";

const element = (id) => document.getElementById(id);

const { supabaseUrl, supabaseKey, consentUrl } = await (await fetch("/app/configuration")).json();
// A user for each window. The key is the window's own too: clients with the same one tell each other who is signed in.
const storageKey = (sessionStorage.window ??= crypto.randomUUID());
const supabase = window.supabase.createClient(supabaseUrl, supabaseKey, {
  auth: { storage: sessionStorage, storageKey, detectSessionInUrl: false },
});
const host = new Host(supabase, consentUrl);

// Google's redirect ends here; what it brought is told once and does not stay in the address.
const address = new URL(location.href);
let returned = address.searchParams.has("state") ? Object.fromEntries(address.searchParams) : null;
history.replaceState(null, "", address.pathname);

let app = null;
let shown = null;

async function show(user) {
  if (shown === (user?.id ?? "nobody")) return;
  shown = user?.id ?? "nobody";
  app?.close();
  app = null;
  element("welcome").hidden = Boolean(user);
  for (const id of ["app", "who", "sign-out"]) element(id).hidden = !user;
  element("who").textContent = user?.email ?? "";
  if (!user) return;
  const answer = returned;
  returned = null;
  const outcome = answer && await host.completeConsent(answer);
  if (shown !== user.id) return;
  app = new App(supabase, host, user);
  app.start(outcome);
}

offerSignIn(supabase);
element("sign-out").addEventListener("click", () => supabase.auth.signOut({ scope: "local" }));
// The client holds a lock while it tells; whatever is done about it has to come after.
supabase.auth.onAuthStateChange((_, session) => setTimeout(show, 0, session?.user ?? null));
