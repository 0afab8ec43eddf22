"""Checks a file that `export` has written by its schema, and prints the words of its command as JSON."""

import io
import json
import sys

KIND, PATH = sys.argv[1:]

INSTRUCTIONS = {"ARG", "CMD", "COMMENT", "COPY", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "STOPSIGNAL", "USER", "WORKDIR"}


def kubernetes(text):
    import kubernetes_validate
    import yaml

    documents = list(yaml.safe_load_all(text))
    for document in documents:
        for version in ("1.25", "1.30", "1.36"):
            kubernetes_validate.validate(document, version, strict=True)
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    # Kubernetes takes `$$` for a dollar sign, and replaces `$(NAME)`.
    return dollars(container["command"])


def compose(text):
    import compose_spec
    import yaml

    compose_spec.PyCompose.from_yaml(text).to_spec()
    [service] = yaml.safe_load(text)["services"].values()
    return dollars(service["command"])


def dollars(words):
    assert all("$" not in word.replace("$$", "") for word in words), words
    return [word.replace("$$", "$") for word in words]


def dockerfile(text):
    from dockerfile_parse import DockerfileParser

    lines = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    assert {line["instruction"] for line in lines} <= INSTRUCTIONS, lines
    [command] = [line["value"] for line in lines if line["instruction"] == "CMD"]
    return json.loads(command)


with open(PATH, encoding="utf-8", newline="") as file:
    print(json.dumps(globals()[KIND](file.read())))
