// Renders the element as the servers of React and Vue apps do.

import { createElement } from "react";
import { renderToString as renderReact } from "react-dom/server";
import { createSSRApp, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";

import { GoogleCalendarIntegration } from "google-calendar-webhooks/element";

const properties = { client: {}, class: "settings" };
console.log(typeof GoogleCalendarIntegration);
console.log(renderReact(createElement("google-calendar-integration", properties)));
console.log(await renderVue(createSSRApp(() => h("google-calendar-integration", properties))));
