"""The same function, written with the idempotency of Powertools for AWS Lambda (Python) and with boto3."""

import hashlib
import hmac
import json
import os

import boto3
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

SECRET = os.environ["UMAAAS_WEBHOOK_SECRETS"].encode()
QUEUE_URL = os.environ["QUEUE_URL"]

sqs = boto3.client("sqs")
config = IdempotencyConfig(event_key_jmespath="[type, webhookId]")
persistence = DynamoDBPersistenceLayer(table_name=os.environ["EVENTS_TABLE"], key_attr="pk")


def handler(event, context):
    body = event["body"].encode()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, event["headers"].get("x-umaaas-signature", "").lower()):
        return {"statusCode": 401, "body": ""}
    config.register_lambda_context(context)
    forward(webhook=json.loads(body), body=event["body"])
    return {"statusCode": 200, "body": ""}


@idempotent_function(data_keyword_argument="webhook", config=config, persistence_store=persistence)
def forward(webhook, body):
    sqs.send_message(
        QueueUrl=QUEUE_URL,
        MessageBody=body,
        MessageGroupId=webhook["type"],
        MessageDeduplicationId=webhook["webhookId"],
    )
