import base64, gzip, json

def consume(sqs, queue_url, db, handle):
    """Handles the messages on the queue. `db` (here SQLite) stores what `handle` writes, and the events that
    were handled: CREATE TABLE seen (event TEXT PRIMARY KEY)."""
    received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
    for message in received.get("Messages", []):
        envelope, _, data = message["Body"].partition(',"data":')  # the last field
        event = json.loads(envelope + "}" if data else envelope)
        body = data[:-1].encode() if data else base64.b64decode(event["data_base64"])
        if event.get("dataencoding") == "gzip":
            body = gzip.decompress(body)
        with db:  # one transaction: stores both the result and the key of the event, or neither
            key = json.dumps([event["source"], event["type"], event["id"]])
            if db.execute("INSERT OR IGNORE INTO seen VALUES (?)", [key]).rowcount:
                handle(db, event, body)
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
