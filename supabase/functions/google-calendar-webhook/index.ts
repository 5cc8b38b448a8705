import { serve } from "../_shared/serve.ts";

export default serve("google-calendar-webhook");
