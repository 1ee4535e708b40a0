// Run @musistudio/llms with one provider.  usage: node musistudio_server.cjs PORT UPSTREAM_URL UPSTREAM_KEY MODEL
const [port, url, key, model] = process.argv.slice(2);
const path = require.resolve('@musistudio/llms', { paths: [process.cwd()] }); // the CommonJS build
const loaded = require(path);
const Server = loaded.default || loaded;
const provider = { name: 'llamacpp', api_base_url: url, api_key: key, models: [model] };
const initialConfig = { providers: [provider], HOST: '127.0.0.1', PORT: Number(port) };
new Server({ initialConfig, useJsonFile: false, useEnvFile: false }).start();
