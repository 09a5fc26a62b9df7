// Runs fauxqs, an emulator of SQS, for tests: on a free port of 127.0.0.1, which
// it prints, and for as long as its standard input is open. It is found in the
// working directory's node_modules.
import { buildApp } from "fauxqs";

process.stdin.on("end", () => process.exit(0)).resume();

const app = buildApp({ logger: false });
const address = await app.listen({ host: "127.0.0.1", port: 0 });
process.stdout.write(new URL(address).port + "\n");
