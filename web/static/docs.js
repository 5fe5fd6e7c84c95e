// The API page: Swagger UI for /openapi.json. A class of the root element selects its dark colours.
// Deep links stay off: they are links inside buttons, which screen readers cannot tell apart.

const root = document.documentElement;
const follow = () => root.classList.toggle("dark-mode", root.dataset.bsTheme === "dark");
new MutationObserver(follow).observe(root, { attributeFilter: ["data-bs-theme"] });
follow();

window.SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.querySelector("#api"),
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
