"""What differs between the releases of oslo.messaging, for the two scripts beside this file.

Python 2.7. Importing this module patches the standard library for eventlet, as a service of that time did first of all.
"""

import eventlet
eventlet.monkey_patch()

import json
import sys

try:
    import oslo_messaging as messaging
    from oslo_config import cfg
except ImportError:  # 1.4.1 still lives in the namespace package
    from oslo import messaging
    from oslo.config import cfg


def transport(config_file):
    """The transport of a configuration file. The driver takes the global configuration object and no other (B3)."""
    cfg.CONF(['--config-file', config_file], project='oslo')
    return messaging.get_transport(cfg.CONF)


def say(**line):
    """One JSON object on one line of standard output, at once."""
    sys.stdout.write(json.dumps(line) + '\n')
    sys.stdout.flush()
