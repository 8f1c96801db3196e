// How the client is generated: with a validator for each answer and each request.
export default {
  input: `${process.env.SPIDER_API_URL}/openapi.json`,
  output: { path: "generated", importFileExtension: ".js" },
  logs: { level: "warn" },
  plugins: ["@hey-api/client-fetch", "zod", { name: "@hey-api/sdk", validator: true }],
};
