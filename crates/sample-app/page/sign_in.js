// The sign-in form, and the people who need none.

const PASSWORD = "correct horse battery staple";

const problem = document.getElementById("sign-in-problem");
const form = document.getElementById("sign-in");

export function offerSignIn(supabase) {
  for (const button of document.querySelectorAll("[data-person]")) {
    const credentials = { email: `${button.dataset.person}@example.com`, password: PASSWORD };
    button.addEventListener("click", () =>
      attempt(button, async () => {
        const { error } = await supabase.auth.signInWithPassword(credentials);
        // Nobody has been here since the stack was started.
        return error ? supabase.auth.signUp(credentials) : {};
      }));
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(form));
    const credentials = { email, password };
    attempt(event.submitter, () =>
      event.submitter.value === "signUp"
        ? supabase.auth.signUp(credentials)
        : supabase.auth.signInWithPassword(credentials));
  });
}

async function attempt(button, signIn) {
  problem.textContent = "";
  button.disabled = true;
  try {
    const { error } = await signIn();
    if (error) problem.textContent = `${error.message}.`;
  } finally {
    button.disabled = false;
  }
}
