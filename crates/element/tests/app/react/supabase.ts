import { createClient } from "@supabase/supabase-js";

export const supabase = createClient(location.origin, "sb_publishable_test");
await supabase.auth.signInWithPassword({ email: "ada@example.com", password: "secret" });
