"""Prints the plain CloudFormation template, in JSON, to which AWS transforms the SAM template.

    .venv/bin/python infra/local/transform.py [--parameter NAME=VALUE]... [--for-emulator ENDPOINT]

The value given with --parameter becomes the parameter's default. The code of each function is `s3://code/<binary>.zip`;
the binary is the one that `sam build` would build for the function. A nested stack is replaced by its resources, with a
prefix (the queue of `UmaaasProvider` is `UmaaasQueue`) and with the values of its parameters and mappings filled in.

With --for-emulator it also replaces what ministack ignores or refuses, and changes nothing else:
  - the API's routes and integrations, which SAM puts into an OpenAPI body, become resources, and the setting that
    disables the API's default endpoint becomes a property;
  - an alarm on a sum of metrics watches only the first metric of the sum;
  - each function gets AWS_ENDPOINT_URL.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

REGION = "eu-central-1"
# Set before the import: samtranslator needs a region, and would otherwise read it from ~/.aws.
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
    template = inlined(plain(parameters))
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
    """The plain CloudFormation template to which AWS transforms the SAM template."""
    template = yaml_parse(TEMPLATE.read_text())
    # `sam deploy` uploads the code and writes its address into the template; this sets the address directly.
    del template["Globals"]["Function"]["CodeUri"]
    for function in of_type(template, "AWS::Serverless::Function").values():
        binary = function["Metadata"]["BuildProperties"]["Binary"]
        function["Properties"]["CodeUri"] = f"s3://{BUCKET}/{binary}.zip"
    return transform(template, parameters, NoManagedPolicies())


def nested(template):
    """The nested stacks with their templates, by logical name."""
    for name, stack in of_type(template, "AWS::CloudFormation::Stack").items():
        url = stack["Properties"]["TemplateURL"]
        yield name, stack, yaml_parse((TEMPLATE.parent / url).read_text())


def inlined(template):
    """The template with each nested stack replaced by the resources of that stack."""
    outputs = {}
    for name, stack, inner in list(nested(template)):
        del template["Resources"][name]
        scope = Scope(name.removesuffix("Provider"), stack["Properties"]["Parameters"], inner)
        for key, condition in inner["Conditions"].items():
            scope.decide(key, scope.resolved(condition))
        template["Conditions"].update(scope.open_conditions)
        for key, resource in inner["Resources"].items():
            if scope.decided.get(resource.get("Condition"), True):
                template["Resources"][scope.prefix + key] = scope.resolved(resource)
        for key, output in inner["Outputs"].items():
            outputs[name, "Outputs." + key] = scope.resolved(output["Value"])
    return with_outputs(template, outputs)


class Scope:
    """Resolves the names in a nested template whose resources get a prefix."""

    def __init__(self, prefix, given, template):
        self.prefix = prefix
        self.mappings = template.get("Mappings", {})
        self.parameters = {
            name: given.get(name, parameter.get("Default")) for name, parameter in template["Parameters"].items()
        }
        self.own = {*template["Resources"], *template.get("Conditions", {})}
        # Conditions whose value is known from the nested stack's parameters; and the definitions of all others.
        self.decided = {}
        self.open_conditions = {}

    def decide(self, name, condition):
        holds = truth(condition)
        if holds is None:
            self.open_conditions[self.prefix + name] = condition
        else:
            self.decided[name] = holds

    def resolved(self, value):
        if isinstance(value, list):
            resolved = [self.resolved(one) for one in value]
            return [one for one in resolved if one != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if "Type" in value and isinstance(value.get("Condition"), str):
            value = dict(value)
            if (condition := value.pop("Condition")) not in self.decided:
                value["Condition"] = self.prefix + condition
        if len(value) != 1:
            return {name: self.resolved(one) for name, one in value.items()}
        (function, argument), = value.items()
        if function == "Ref":
            return self.parameters[argument] if argument in self.parameters else {"Ref": self.name(argument)}
        if function == "Condition" and isinstance(argument, str):
            return {"Condition": self.prefix + argument}
        if function == "Fn::GetAtt":
            resource, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
            return {"Fn::GetAtt": [self.name(resource), attribute]}
        if function == "Fn::If":
            condition, yes, no = argument
            if condition in self.decided:
                return self.resolved(yes if self.decided[condition] else no)
            return {"Fn::If": [self.prefix + condition, self.resolved(yes), self.resolved(no)]}
        if function == "Fn::FindInMap":
            mapping, first, second = map(self.resolved, argument)
            return self.mappings[mapping][first][second]
        if function == "Fn::Sub":
            text, values = argument if isinstance(argument, list) else (argument, {})
            return substituted(text, lambda name: self.substitute(name, values))
        return {function: self.resolved(argument)}

    def substitute(self, name, values):
        if name in values:
            return self.resolved(values[name])
        resource, dot, attribute = name.partition(".")
        if resource in self.parameters and not dot:
            return self.parameters[resource]
        return {"Fn::GetAtt": [self.name(resource), attribute]} if dot else {"Ref": self.name(resource)}

    def name(self, name):
        return self.prefix + name if name in self.own else name


def truth(condition):
    """The value of a condition; None if it depends on a parameter of the root template."""
    (function, argument), = condition.items()
    if function == "Fn::Equals":
        return argument[0] == argument[1] if all(isinstance(one, str) for one in argument) else None
    if function == "Fn::Not":
        inner = truth(argument[0])
        return None if inner is None else not inner
    return None


def with_outputs(value, outputs):
    """A template in which each reference to an output of a nested stack is replaced by the output's value."""
    if isinstance(value, list):
        return [with_outputs(one, outputs) for one in value]
    if not isinstance(value, dict):
        return value
    if tuple(value) == ("Fn::GetAtt",):
        argument = value["Fn::GetAtt"]
        return outputs.get(tuple(argument if isinstance(argument, list) else argument.split(".", 1)), value)
    if tuple(value) == ("Fn::Sub",):
        text, values = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
        values = {name: with_outputs(one, outputs) for name, one in values.items()}

        def replaced(name):
            # A name without a dot is a tuple of one, which is no output.
            value = outputs.get(tuple(name.split(".", 1)))
            return Kept(name) if value is None else value

        text = substituted(text, replaced, joined=False)
        return {"Fn::Sub": [text, values] if values else text} if isinstance(text, str) else text
    return {name: with_outputs(one, outputs) for name, one in value.items()}


class Kept(str):
    """A name in a text of Fn::Sub that is not replaced."""


def substituted(text, value, joined=True):
    """A text of Fn::Sub with its names replaced by their values."""
    parts = re.split(r"\$\{([^}!]+)\}", text)
    for place in range(1, len(parts), 2):
        one = value(parts[place])
        if isinstance(one, Kept):
            one = "${" + one + "}"
        elif isinstance(one, dict):
            one = as_text(one)
        parts[place] = str(one)
    text = "".join(parts)
    return {"Fn::Sub": text} if joined and "${" in text else text


def as_text(value):
    """A reference in the notation of Fn::Sub. For Fn::If, the value for a true condition."""
    (function, argument), = value.items()
    if function == "Ref":
        return "${" + argument + "}"
    if function == "Fn::GetAtt":
        return "${" + ".".join(argument if isinstance(argument, list) else [argument]) + "}"
    if function == "Fn::Sub" and isinstance(argument, str):
        return argument
    if function == "Fn::Join":
        return argument[0].join(one if isinstance(one, str) else as_text(one) for one in argument[1])
    if function == "Fn::If":
        return argument[1] if isinstance(argument[1], str) else as_text(argument[1])
    raise ValueError(f"{value} cannot be part of a text")


class NoManagedPolicies:
    """A loader for AWS managed policies that loads none: the template uses none, and loading them would call AWS."""

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
