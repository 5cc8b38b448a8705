import { serve } from "../_shared/serve.ts";

export default serve("refresh-calendar-webhook");
