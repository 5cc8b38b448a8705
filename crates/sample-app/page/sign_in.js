// The sign-in form, and the people who need none.

const PASSWORD = "correct horse battery staple";

const problem = document.getElementById("sign-in-problem");
const form = document.getElementById("sign-in");

export function offerSignIn(supabase) {
  for (const button of document.querySelectorAll("[data-person]")) {
    const credentials = { email: `${button.dataset.person}@example.com`, password: PASSWORD };
    button.addEventListener("click", () =>
      attempt(button, async () => {
        const signUp = () => supabase.auth.signUp(credentials);
        const signIn = () => supabase.auth.signInWithPassword(credentials);
        // A user who signed in here before can sign in again, unless the stack was restarted since.
        const place = `was here: ${credentials.email}`;
        const [first, second] = localStorage.getItem(place) ? [signIn, signUp] : [signUp, signIn];
        let answer = await first();
        if (answer.error) answer = await second();
        if (!answer.error) localStorage.setItem(place, "yes");
        return answer;
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
    if (error?.code === "invalid_credentials" || error?.message === "Invalid login credentials") {
      problem.textContent = "Nobody has this address and password here yet. Press “Sign up” to be the first.";
    } else if (error) {
      problem.textContent = `${error.message}.`;
    }
  } finally {
    button.disabled = false;
  }
}
