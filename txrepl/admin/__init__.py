"""The HTTP interface (Klein): see a node's replication, and steer it.

    request ─ site (bounds) ─ auth (token, Host, Origin) ─ app ─ feature ─┬─ bodies (query, body) ─ Node
                                                                          └─ views (Node → dicts) ─ JSON | text

site         `make_site`: what a port serves; bounded requests, the gate in front of the app
auth         who may ask; `check_exposure`, `endpoint_host`
app          leads each path to its handler, and every exception to a problem
features     the paths: one module a feature, with its routes, handlers and schemas
contract     what a feature says about itself; `openapi` joins it into the contract as OpenAPI 3.1
answers      requests read, answers written
bodies       what a request carries, checked field by field
selves       whether an address is our own
views        the node as plain dicts; `information` is INFO's part
comparison   this node's data against another server's; `sampling` is how a key is seen on either
waiting      what a delayed replica has not applied yet, command by command
text         views as aligned text
streaming    answers that go on until the client leaves
changes      readers of the stream: cursors into the backlog; `resuming`: where one may begin;
             `encoder_process`: who writes their events
downloads    the dataset, from a forked child
asking       where another server stands, by INFO
metrics      the node as Prometheus metrics
webhook      posts events to a URL
static_files the dashboard: `static/` as a browser gets it
problems     every refusal as RFC 9457
"""

from __future__ import annotations

from txrepl.admin.auth import check_exposure, endpoint_host
from txrepl.admin.site import make_site
from txrepl.admin.webhook import Webhook

__all__ = ["Webhook", "check_exposure", "endpoint_host", "make_site"]
