"""Checks the compose files, and the Helm chart: lints it, renders it with several values, and validates the manifests against the
schemas of Kubernetes.

Run by deploy/lint, which installs what it imports.
"""

import pathlib
import sys

import compose_spec
import helm_python as helm
import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).parent
CHART = DEPLOY / "helm" / "pollux"
KUBERNETES = "1.33"
SECRET = {"existingSecret": "pollux"}
EVERYTHING = SECRET | {
    "ingress": {"enabled": True, "tlsSecret": "chat-tls"},
    "serviceMonitor": {"enabled": True},
    "worker": {"autoscaling": {"enabled": True}},
}
# The kinds that each set of values must render, with how many of each.
DEFAULT = {"Deployment": 2, "PodDisruptionBudget": 2, "Service": 1}
EXPECTED = [
    ("default values", SECRET, DEFAULT),
    (
        "everything enabled",
        EVERYTHING,
        DEFAULT | {"Service": 2, "Ingress": 1, "ServiceMonitor": 1, "HorizontalPodAutoscaler": 1},
    ),
]
# Resources of operators, whose schemas Kubernetes does not have.
WITHOUT_SCHEMA = {"ServiceMonitor"}


def check_compose_files():
    for file in sorted((DEPLOY / "compose").glob("*.yaml")):
        # The library does not know YAML's merge keys.
        merged = yaml.safe_dump(yaml.safe_load(file.read_text()))
        services = compose_spec.PyCompose.from_yaml(merged).service_names()
        print(f"compose: deploy/compose/{file.name} is valid: {', '.join(sorted(services))}")


def manifests(chart, values):
    """All manifests of the chart with these values."""
    rendered = chart.render(values, name="chat", namespace="default")
    return [item for text in rendered.values() for item in yaml.safe_load_all(text) if item]


def check_chart():
    findings = helm.lint(CHART, SECRET, strict=True)
    assert not findings["errors"], findings
    with helm.Chart.load(CHART) as chart:
        for name, values, expected in EXPECTED:
            kinds = {}
            for item in manifests(chart, values):
                kind = item["kind"]
                kinds[kind] = kinds.get(kind, 0) + 1
                if kind not in WITHOUT_SCHEMA:
                    kubernetes_validate.validate(item, KUBERNETES, strict=True)
            assert kinds == expected, f"{name}: rendered {kinds}"
        try:
            manifests(chart, {})
            sys.exit("the chart renders without existingSecret")
        except helm.HelmError as error:
            assert "existingSecret must name a secret" in str(error), error
    print("helm: deploy/helm/pollux renders valid manifests")


check_compose_files()
check_chart()
