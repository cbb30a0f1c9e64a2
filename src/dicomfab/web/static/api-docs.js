// Shows the description of the REST interface; everything comes from this server.
"use strict";

// Light or dark as on all other pages.
document.documentElement.classList.toggle("dark-mode", document.documentElement.dataset.bsTheme === "dark");
window.SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
});
