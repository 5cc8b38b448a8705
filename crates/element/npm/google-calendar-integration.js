/** The class of `<google-calendar-integration>`. What it does is in the module; this keeps the properties. */
export class GoogleCalendarIntegration extends (globalThis.HTMLElement ?? Object) {
  #client = null;
  #texts = {};
  #root = this.attachShadow({ mode: "open" });
  /** @type {Integration | null} */
  #integration = null;
  /** Tells the page's author why nothing is shown. */
  #hint;
  /** The page's language and colour scheme are shown anew as soon as they change. */
  #look = globalThis.MutationObserver && new MutationObserver(() => this.#show());

  get client() {
    return this.#client;
  }
  set client(client) {
    this.#client = client ?? null;
    this.#integration?.set_client(this.#client);
  }

  get texts() {
    return this.#texts;
  }
  set texts(texts) {
    this.#texts = texts ?? {};
    this.#show();
  }

  async refresh() {
    await ready();
    this.#mount();
    await this.#integration?.refresh();
  }

  async connectedCallback() {
    // Set before the class was there to see.
    for (const property of ["client", "texts"]) {
      if (!Object.hasOwn(this, property)) continue;
      const value = this[property];
      delete this[property];
      this[property] = value;
    }
    await ready();
    this.#mount();
  }

  #mount() {
    if (!this.isConnected || this.#integration) return;
    this.#root.adoptedStyleSheets = [sheet()];
    this.#root.replaceChildren(nodes().cloneNode(true));
    this.#integration = new Integration(this, this.#root, words(this.#texts));
    this.#integration.set_client(this.#client);
    this.#hint = setTimeout(() => {
      if (!this.#client) console.warn("google-calendar-integration waits for its client: element.client = supabase");
    }, 5_000);
    for (const node of [this, document.documentElement, document.body]) {
      this.#look.observe(node, { attributeFilter: ["class", "data-theme", "lang", "style"] });
    }
  }

  #show() {
    this.#integration?.set_texts(words(this.#texts));
  }

  disconnectedCallback() {
    // What is only moved is back by then, and goes on.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#look.disconnect();
      clearTimeout(this.#hint);
      this.#integration?.free();
      this.#integration = null;
    });
  }

  connectedMoveCallback() {}
}

/** Every text in the order of texts.json, English where the page says nothing else. */
function words(texts) {
  return Object.entries(english).map(([name, word]) => (typeof texts[name] === "string" ? texts[name] : word));
}

let styles;

function sheet() {
  if (!styles) {
    styles = new CSSStyleSheet();
    styles.replaceSync(css);
  }
  return styles;
}

let template;

function nodes() {
  if (!template) {
    template = document.createElement("template");
    template.innerHTML = html;
  }
  return template.content;
}

let started;

/** Starts the module with the first element that needs it: never on a server. */
function ready() {
  return (started ??= start({ module_or_path: decode(base64) }));
}

function decode(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const registry = globalThis.customElements;
if (registry && !registry.get("google-calendar-integration")) {
  registry.define("google-calendar-integration", GoogleCalendarIntegration);
}
