import { serve } from "../_shared/serve.ts";

export default serve("setup-calendar-webhook");
