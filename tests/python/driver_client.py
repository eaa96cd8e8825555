"""A client on the real oslo.messaging driver, driven by JSON lines: one request in, one answer out.

    {"do": "call",   "method": M, "args": {...}, "context": {...}, "server": HOST or null}   -> {"result": ...}
    {"do": "cast",   ...the same...}                                                         -> {"result": null}
    {"do": "fanout", "method": M, "args": {...}, "context": {...}}                           -> {"result": null}
    {"do": "notify", "driver": "messaging" or "messagingv2", "event_type": ..., "payload": ..., "context": {...}}

An exception is answered with {"error": {"class": ..., "module": ..., "text": ...}}. First of all it prints {"ready": true}.
"""

import argparse
import json
import sys

import eventlet.greenio

from oslo_release import messaging, say, transport


class Client(object):
    """The requests, by name."""

    def __init__(self, driver, topic, notification_topic):
        self.driver = driver
        self.rpc = messaging.RPCClient(driver, messaging.Target(topic=topic, version='1.0'))
        self.notification_topic = notification_topic

    def call(self, method, args, context, server=None):
        return self._to(server).call(context, method, **args)

    def cast(self, method, args, context, server=None):
        self._to(server).cast(context, method, **args)

    def fanout(self, method, args, context):
        self.rpc.prepare(fanout=True).cast(context, method, **args)

    def notify(self, driver, event_type, payload, context):
        notifier = messaging.Notifier(
            self.driver, publisher_id='client', driver=driver, topic=self.notification_topic)
        notifier.info(context, event_type, payload)

    def _to(self, server):
        return self.rpc.prepare(server=server) if server else self.rpc


def answer(client, request):
    perform = {'call': client.call, 'cast': client.cast, 'fanout': client.fanout, 'notify': client.notify}
    try:
        say(result=perform[request.pop('do')](**request))
    except BaseException as error:  # eventlet's Timeout is no Exception
        kind = type(error)
        say(error={'class': kind.__name__, 'module': kind.__module__, 'text': unicode(error)})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--config-file', required=True)
    parser.add_argument('--topic', required=True)
    parser.add_argument('--notification-topic', default='notifications')
    args = parser.parse_args()

    client = Client(transport(args.config_file), args.topic, args.notification_topic)
    say(ready=True)
    # a plain read would stop the green threads that send casts
    requests = eventlet.greenio.GreenPipe(sys.stdin)
    while True:
        line = requests.readline()
        if not line:
            return
        answer(client, json.loads(line))


if __name__ == '__main__':
    main()
