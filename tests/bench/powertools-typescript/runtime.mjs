// A Lambda Runtime API client: `node runtime.mjs HANDLER_FILE`. AWS's own client, aws-lambda-ric, is not used, because
// it compiles libcurl with cmake and autotools when it is installed. This client does less, which makes the handler
// look better.

import http from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const { handler } = createRequire(import.meta.url)(resolve(process.argv[2]));

function call(method, path, body) {
  return new Promise((fulfil, reject) => {
    const options = { host, port, method, agent, path: `/2018-06-01/runtime/invocation/${path}` };
    const request = http.request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => fulfil({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

while (true) {
  const { headers, body } = await call('GET', 'next');
  const id = headers['lambda-runtime-aws-request-id'];
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  try {
    await call('POST', `${id}/response`, JSON.stringify(await handler(JSON.parse(body), context)));
  } catch (error) {
    await call('POST', `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
  }
}
