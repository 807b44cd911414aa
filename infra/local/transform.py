"""Prints the SAM template as the plain CloudFormation that AWS makes of it, in JSON.

    .venv/bin/python infra/local/transform.py [--parameter NAME=VALUE]... [--for-emulator ENDPOINT]

A parameter that is given becomes its default. The code of each function is `s3://code/<binary>.zip`, where
the binary is the one that `sam build` would build for it.

With --for-emulator it also spells out what ministack leaves out or refuses, and nothing else:
  - the API's routes and integrations, which SAM puts into an OpenAPI body, become resources, and whether it
    has an address of AWS's becomes a property;
  - an alarm on a sum watches the sum's first metric;
  - each function gets AWS_ENDPOINT_URL.
"""

import argparse
import json
import os
import sys
from pathlib import Path

REGION = "eu-central-1"
# Before the import: samtranslator asks for a region, and would look for one in ~/.aws.
os.environ["AWS_DEFAULT_REGION"] = REGION

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parent.parent / "template.yaml"
BUCKET = "code"


def main():
    parser = argparse.ArgumentParser(description="Prints the SAM template as plain CloudFormation.")
    parser.add_argument("--parameter", metavar="NAME=VALUE", type=assignment, action="append", default=[])
    parser.add_argument("--for-emulator", metavar="ENDPOINT")
    arguments = parser.parse_args()
    parameters = dict(arguments.parameter)
    template = plain(parameters)
    for name, value in parameters.items():
        template["Parameters"][name]["Default"] = value
    if arguments.for_emulator:
        for_emulator(template, arguments.for_emulator)
    json.dump(template, sys.stdout, indent=1)


def assignment(text):
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def plain(parameters):
    """What AWS makes of the template."""
    template = yaml_parse(TEMPLATE.read_text())
    # `sam deploy` uploads the code and writes its address into the template.
    del template["Globals"]["Function"]["CodeUri"]
    for function in of_type(template, "AWS::Serverless::Function").values():
        binary = function["Metadata"]["BuildProperties"]["Binary"]
        function["Properties"]["CodeUri"] = f"s3://{BUCKET}/{binary}.zip"
    return transform(template, parameters, NoManagedPolicies())


class NoManagedPolicies:
    """The template names none of AWS's own policies, so nobody has to be asked for them."""

    def load(self):
        return {}


def for_emulator(template, endpoint):
    for name, api in of_type(template, "AWS::ApiGatewayV2::Api").items():
        body = api["Properties"].pop("Body")
        routes = body["paths"]
        endpoint_configuration = body["servers"][0]["x-amazon-apigateway-endpoint-configuration"]
        api["Properties"].update(
            ProtocolType="HTTP",
            Name={"Ref": "AWS::StackName"},
            DisableExecuteApiEndpoint=endpoint_configuration["disableExecuteApiEndpoint"],
        )
        for number, (key, operation) in enumerate(operations(routes)):
            integration = operation["x-amazon-apigateway-integration"]
            template["Resources"][f"{name}Integration{number}"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": name},
                    "IntegrationType": integration["type"].upper(),
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            template["Resources"][f"{name}Route{number}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": name},
                    "RouteKey": key,
                    "Target": {"Fn::Sub": f"integrations/${{{name}Integration{number}}}"},
                },
            }
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
        for metric in alarm["Properties"].pop("Metrics", [])[1:2]:
            statistic = metric["MetricStat"]
            alarm["Properties"].update(
                statistic["Metric"], Period=statistic["Period"], Statistic=statistic["Stat"]
            )
    for function in of_type(template, "AWS::Lambda::Function").values():
        function["Properties"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = endpoint


def operations(paths):
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def of_type(template, kind):
    return {name: one for name, one in template["Resources"].items() if one["Type"] == kind}


if __name__ == "__main__":
    main()
