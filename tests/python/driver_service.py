"""A service on the real oslo.messaging driver. Each line it prints is one JSON object.

First {"ready": NAME}, then {"record": VALUE, "context": CONTEXT} for every cast and fanout, and for every notification
{"event_type": ..., "publisher_id": ..., "payload": ..., "context": ...}, or {"frames": [TEXT, ...]} where the release cannot
listen to notifications (B32). It runs until it is killed: the cleanup of 1.4.1 blocks for ever (B38).
"""

import argparse

import eventlet

from oslo_release import cfg, messaging, say, transport


class Endpoint(object):
    """The methods a client may call."""

    def __init__(self, name):
        self.name = name

    def echo(self, ctxt, value):
        return value

    def name_of_service(self, ctxt):
        return self.name

    def context(self, ctxt):
        return ctxt

    def fail(self, ctxt, text):
        raise ValueError(text)

    def record(self, ctxt, value):
        say(record=value, context=ctxt)


class NotificationEndpoint(object):
    """Prints what a notification listener hands up."""

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        say(event_type=event_type, publisher_id=publisher_id, payload=payload, context=ctxt)


def listen(driver, topic):
    listener = messaging.get_notification_listener(
        driver, [messaging.Target(topic=topic)], [NotificationEndpoint()], executor='eventlet')
    listener.start()


def consume_raw(topic):
    """Prints the frames that the daemon hands to the socket a notification listener would read."""
    from eventlet.green import zmq
    socket = zmq.Context().socket(zmq.PULL)
    socket.connect('ipc://%s/zmq_topic_%s-info.%s' % (cfg.CONF.rpc_zmq_ipc_dir, topic, cfg.CONF.rpc_zmq_host))
    while True:
        say(frames=[frame.decode('utf-8') for frame in socket.recv_multipart()])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--config-file', required=True)
    parser.add_argument('--name', required=True, help='what this process calls itself')
    parser.add_argument('--topic', required=True)
    parser.add_argument('--server', help='what it listens as; by default the name of the host')
    parser.add_argument('--notifications', choices=['listen', 'raw'], help='read them by the listener or as frames')
    parser.add_argument('--notification-topic', default='notifications')
    args = parser.parse_args()

    driver = transport(args.config_file)
    # the driver registers the option, so it can be read from here on only
    target = messaging.Target(topic=args.topic, server=args.server or cfg.CONF.rpc_zmq_host)
    server = messaging.get_rpc_server(driver, target, [Endpoint(args.name)], executor='eventlet')
    server.start()
    if args.notifications == 'listen':
        listen(driver, args.notification_topic)
    elif args.notifications == 'raw':
        eventlet.spawn(consume_raw, args.notification_topic)
    say(ready=args.name)
    server.wait()


if __name__ == '__main__':
    main()
