// The same, rendered on a server first.

import { StrictMode, useSyncExternalStore } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";

import { Settings } from "./Settings";

/** React hydrates neither properties nor listeners of custom elements: in the browser it has to be another one. */
function Hydrated() {
  const place = useSyncExternalStore(() => () => {}, () => "browser", () => "server");
  return <Settings key={place} />;
}

const app = (
  <StrictMode>
    <Hydrated />
  </StrictMode>
);
const root = document.getElementById("root")!;
root.innerHTML = renderToString(app);
hydrateRoot(root, app);
