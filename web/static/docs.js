// The page of the API: Swagger UI over /openapi.json. Its dark colours hang on a class of the root.
// Without its deep links: they are links inside of buttons, which no screen reader tells apart.

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
