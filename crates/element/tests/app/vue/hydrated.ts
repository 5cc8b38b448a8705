// The same, rendered on a server first.

import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import App from "./App.vue";

const root = document.getElementById("root")!;
root.innerHTML = await renderToString(createSSRApp(App));
createSSRApp(App).mount(root);
