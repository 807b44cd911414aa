// The same function, written with the idempotency of Powertools for AWS Lambda (TypeScript) and with the AWS SDK v3.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';

type Webhook = { type: string; webhookId: string };
type Event = { headers: Record<string, string>; body: string };

const secret = process.env.UMAAAS_WEBHOOK_SECRETS as string;
const sqs = new SQSClient({});
const config = new IdempotencyConfig({ eventKeyJmesPath: '[type, webhookId]' });
const persistenceStore = new DynamoDBPersistenceLayer({
  tableName: process.env.EVENTS_TABLE as string,
  keyAttr: 'pk',
});

export const handler = async (event: Event, context: any) => {
  const expected = createHmac('sha256', secret).update(event.body).digest();
  const given = Buffer.from(event.headers['x-umaaas-signature'] ?? '', 'hex');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return { statusCode: 401, body: '' };
  }
  config.registerLambdaContext(context);
  await forward(JSON.parse(event.body), event.body);
  return { statusCode: 200, body: '' };
};

const forward = makeIdempotent(
  async (webhook: Webhook, body: string) => {
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: process.env.QUEUE_URL,
        MessageBody: body,
        MessageGroupId: webhook.type,
        MessageDeduplicationId: webhook.webhookId,
      }),
    );
  },
  { persistenceStore, config },
);
