"""Deploys the SAM template to an emulated AWS, with functions that were built on this machine.

    .venv/bin/python infra/local/deploy.py ENDPOINT BINARIES OUTPUTS [--functions-endpoint ENDPOINT]
        [--parameter NAME=VALUE]... [--secret OUTPUT=VALUE]...

Writes the stack's outputs to the file OUTPUTS, in JSON. --secret stores VALUE in the secret whose ARN is the output
OUTPUT. The functions call AWS at --functions-endpoint, which can be a proxy; the default is ENDPOINT.
"""

import argparse
import io
import json
import sys
import zipfile
from pathlib import Path

import boto3

import transform

STACK = "payment-webhooks"


def main():
    parser = argparse.ArgumentParser(description="Deploys the SAM template to an emulated AWS.")
    parser.add_argument("endpoint", metavar="ENDPOINT")
    parser.add_argument("binaries", metavar="BINARIES", type=Path)
    parser.add_argument("outputs", metavar="OUTPUTS", type=Path)
    parser.add_argument("--functions-endpoint", metavar="ENDPOINT")
    parser.add_argument("--parameter", metavar="NAME=VALUE", type=transform.assignment, action="append", default=[])
    parser.add_argument("--secret", metavar="OUTPUT=VALUE", type=transform.assignment, action="append", default=[])
    arguments = parser.parse_args()

    template = transform.plain(dict(arguments.parameter))
    transform.for_emulator(template, arguments.functions_endpoint or arguments.endpoint)
    aws = Aws(arguments.endpoint)
    # As `sam deploy` does: upload nested templates and refer to them by their addresses.
    for name, stack, inner in transform.nested(template):
        transform.for_emulator(inner, None)
        aws.upload(f"{name}.json", json.dumps(inner))
        stack["Properties"]["TemplateURL"] = f"{arguments.endpoint}/{transform.BUCKET}/{name}.json"
    aws.upload("template.json", json.dumps(template))
    for function in transform.of_type(template, "AWS::Lambda::Function").values():
        key = function["Properties"]["Code"]["S3Key"]
        aws.upload(key, bootstrap(arguments.binaries / Path(key).stem))
    stack = aws.create_stack(arguments.parameter)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    for name, value in arguments.secret:
        aws.client("secretsmanager").put_secret_value(SecretId=outputs[name], SecretString=value)
    arguments.outputs.write_text(json.dumps(outputs))


def bootstrap(binary):
    """The archive of a function's code. It contains a script that starts the binary, not the binary itself, because
    a development build has more than 70 MB."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zip:
        zip.writestr("bootstrap", f"#!/bin/sh\nexec '{binary.resolve(strict=True)}'\n")
    return archive.getvalue()


class Aws:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.session = boto3.Session("local", "local", region_name=transform.REGION)
        if not self.client("s3").list_buckets()["Buckets"]:
            self.client("s3").create_bucket(
                Bucket=transform.BUCKET, CreateBucketConfiguration={"LocationConstraint": transform.REGION}
            )

    def client(self, service):
        return self.session.client(service, endpoint_url=self.endpoint)

    def upload(self, key, content):
        self.client("s3").put_object(Bucket=transform.BUCKET, Key=key, Body=content)

    def create_stack(self, parameters):
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=STACK,
            TemplateURL=f"{self.endpoint}/{transform.BUCKET}/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters],
            Capabilities=["CAPABILITY_IAM"],
            OnFailure="DO_NOTHING",
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        try:
            waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
        except Exception as error:
            events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
            failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
            sys.exit("\n".join([str(error), *(str(event) for event in failed)]))
        return cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]


if __name__ == "__main__":
    main()
