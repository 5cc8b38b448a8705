// Put here by google-calendar-webhooks, in a style of its own.
// deno-lint-ignore-file
// deno-fmt-ignore-file
import { serve } from "../_shared/serve.ts";

export default serve("setup-calendar-webhook");
