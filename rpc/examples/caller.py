"""Calls the service of calculator.rs with the original driver: python2.7 caller.py /etc/oslo/demo.conf

Needs oslo.messaging 1.8.3 or 2.5.0 and eventlet; `cargo xtask test` makes target/pyenv/oslo-1.8.3, which has them.
"""

import eventlet
eventlet.monkey_patch()

import sys

from oslo_config import cfg
import oslo_messaging

cfg.CONF(['--config-file', sys.argv[1]], project='demo')
transport = oslo_messaging.get_transport(cfg.CONF)
client = oslo_messaging.RPCClient(transport, oslo_messaging.Target(topic='calculator', version='1.1'))
print('2 + 3 = %d' % client.call({}, 'add', a=2, b=3))
try:
    client.call({}, 'divide', a=1, b=0)
except ZeroDivisionError as error:
    print('1 / 0: %s' % str(error).splitlines()[0])
