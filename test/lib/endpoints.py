"""What health checks look at in the tests: real web servers whose pages come and go, and the checks on them."""

import itertools
import json
import os
import re
import shutil
import subprocess

from leeward import Daemon
from process import clean_environment, wait_for
from servers import Nginx, make_certificate

# A probe every 100 ms, and one result turns the check either way.
FAST = {"leeward:interval-ms": "100", "leeward:failures-down": "1", "leeward:successes-up": "1"}

_numbers = itertools.count(1)


class Site(Nginx):
    """nginx that serves files: /one answers 200 while its file is there and 404 while it is not, at once.

    locations: nginx location blocks more; http: text of the http block (maps, further servers); {address}, {http} and
    {https} in them stand for its own. certificate: (certificate, key) files instead of a self-signed one.
    """

    def __init__(self, folder, address, region="site", locations="", http="", certificate=None, **settings):
        super().__init__(folder, address, region, **settings)
        self.www = folder / "www"
        self.locations = locations
        self.http = http
        self.certificate = certificate
        self.www.mkdir(exist_ok=True)

    def write(self):
        certificate, key = self.certificate or make_certificate(self.folder, self.server_name)
        names = {"address": self.address, "http": str(self.http_port), "https": str(self.https_port)}
        locations, http = (re.sub(r"\{(address|http|https)\}", lambda m: names[m.group(1)], text)
                           for text in (self.locations, self.http))
        user = "user root;\n" if os.getuid() == 0 else ""
        temporary = "".join(f"    {kind}_temp_path {self.folder}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.configuration.write_text(f"""\
{user}daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
{temporary}    log_format seen '$status $request_uri $http_host $http_user_agent';
    access_log {self.access_log} seen;
    default_type text/plain;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
{http}
    server {{
        listen {self.address}:{self.https_port} ssl;
        listen {self.address}:{self.http_port};
        root {self.www};
{locations}
    }}
}}
""")

    def up(self, *pages, body="ok"):
        """These pages are there, whole from the first moment on."""
        for page in pages:
            draft = self.folder / f"draft-{page}"
            draft.write_text(body)
            draft.rename(self.www / page)

    def down(self, *pages):
        """These pages are not there."""
        for page in pages:
            (self.www / page).unlink(missing_ok=True)

    def count(self, line):
        """How many lines of the access log match this expression from their start."""
        return sum(bool(re.match(line, text)) for text in self.requests())


def make_check(daemon, tags=None, **config):
    """The id of a new health check with these tags (FAST where none are given)."""
    client = daemon.client("route53")
    if config["Type"] != "CALCULATED":
        config.setdefault("FailureThreshold", 1)
    check = client.create_health_check(CallerReference=f"check-{os.getpid()}-{next(_numbers)}",
                                       HealthCheckConfig=config)["HealthCheck"]["Id"]
    tag_check(daemon, check, FAST if tags is None else tags)
    return check


def tag_check(daemon, check, tags):
    if tags:
        daemon.client("route53").change_tags_for_resource(
            ResourceType="healthcheck", ResourceId=check,
            AddTags=[{"Key": key, "Value": value} for key, value in tags.items()])


def page_check(daemon, site, page, tags=None, **config):
    """A check on one page of a site, over HTTP unless another type is given."""
    config.setdefault("Type", "HTTP")
    port = site.https_port if config["Type"].startswith("HTTPS") else site.http_port
    return make_check(daemon, tags, **{"IPAddress": site.address, "Port": port, "ResourcePath": f"/{page}", **config})


def reports(daemon, check):
    """What GetHealthCheckStatus says, a text for each checker."""
    answer = daemon.client("route53").get_health_check_status(HealthCheckId=check)
    return [seen["StatusReport"]["Status"] for seen in answer["HealthCheckObservations"]]


def wait_for_report(daemon, check, start, seconds=10):
    """Waits until some checker's status starts so; the text."""
    def reported():
        texts = reports(daemon, check)
        found = [text for text in texts if text.startswith(start)]
        assert found, texts
        return found[0]
    return wait_for(reported, seconds, f"the status of {check} starts with {start!r}")


def candidates(daemon, name, kind="A"):
    """{SetIdentifier: candidate} of `leeward dig`."""
    explained = json.loads(daemon.leeward("dig", name, kind, "--json").stdout)
    return {candidate["SetIdentifier"]: candidate for candidate in explained["Candidates"]}


def wait_for_health(daemon, name, kind="A", seconds=10, **health):
    """Waits until the answers of the name are chosen with these candidates healthy: one=True, two=False."""
    def settled():
        seen = {key: candidate["Healthy"] for key, candidate in candidates(daemon, name, kind).items()}
        assert {key: seen.get(key) for key in health} == health, seen
        return True
    return wait_for(settled, seconds, f"{name} {kind} has {health}", every=0.05)


def can_hide_files():
    """Whether a program can be given other files in the place of the system's (a mount namespace of its own)."""
    if shutil.which("unshare") is None:
        return None
    for options in (["-m"], ["-r", "-m"]):
        run = subprocess.run(["unshare", *options, "mount", "--bind", "/etc/hosts", "/etc/hosts"], capture_output=True,
                             env=clean_environment(), check=False)
        if run.returncode == 0:
            return ["unshare", *options]
    return None


class DaemonWithFiles(Daemon):
    """A daemon that sees other files in the place of the system's, {"/etc/hosts": path}; nobody else sees them."""

    def __init__(self, *arguments, hide, files, **settings):
        super().__init__(*arguments, **settings)
        self.hide = hide
        self.files = dict(files)

    def spawn(self):
        script = "".join(f"mount --bind '{ours}' '{system}' && " for system, ours in self.files.items())
        self.command = [*self.hide, "sh", "-c", script + 'exec "$@"', "sh", *self.command]
        return super().spawn()
