"use strict";
// A page from openapi.json: every route, what it takes, what it answers.

const make = (name, text) => Object.assign(document.createElement(name), { textContent: text ?? "" });

function kind(schema, all) {
  if (schema.$ref) return kind(all[schema.$ref.split("/").pop()], all);
  if (schema.type === "array") return [kind(schema.items, all)];
  if (schema.type === "object") return Object.fromEntries(Object.entries(schema.properties).map(([name, of]) => [name, kind(of, all)]));
  return Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
}

function table(fields) {
  const rows = fields.map(([name, schema, required]) => {
    const row = document.createElement("tr");
    const of = schema.type === "array" ? `${schema.minItems ?? 0} to ${schema.maxItems} of ${schema.items.type}` : schema.type;
    const limits = ["minimum", "maximum", "maxLength", "default"].filter((limit) => limit in schema).map((limit) => `${limit} ${schema[limit]}`);
    row.append(make("td", name + (required ? " (required)" : "")), make("td", of), make("td", [schema.description, ...limits].filter(Boolean).join("; ")));
    return row;
  });
  const whole = document.createElement("table");
  whole.append(...rows);
  return whole;
}

async function begin() {
  const spec = await (await fetch("openapi.json")).json(), all = spec.components.schemas;
  document.getElementById("name").textContent = spec.info.title;
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      const section = document.createElement("section");
      section.append(make("h2", `${method.toUpperCase()} ${path}`), make("p", about.summary));
      const body = about.requestBody?.content["application/json"].schema;
      const fields = body
        ? Object.entries(body.properties).map(([name, schema]) => [name, schema, body.required.includes(name)])
        : (about.parameters ?? []).map((one) => [one.name, one.schema, one.required]);
      if (fields.length) section.append(table(fields));
      section.append(make("pre", JSON.stringify(kind(about.responses[200].content["application/json"].schema, all), null, 1)));
      document.getElementById("paths").append(section);
    }
  }
}
begin();
