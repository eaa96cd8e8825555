#!/bin/bash
# A DevStack plugin: services talk over ZeroMQ, by way of oslo-messaging-zmq-receiver.
#
# In local.conf:
#   enable_plugin zmq-receiver REPOSITORY
#   disable_service rabbit
# DevStack sources this file in each phase; its functions (iniset, is_service_enabled, ...) are there then.

function zmq_receiver_install {
    sudo dpkg --install "$ZMQ_RECEIVER_PACKAGE"
    # The services run as this user; the group is that of the sockets.
    sudo usermod -a -G openstack "$STACK_USER"
    if [[ $ZMQ_MATCHMAKER == redis ]]; then
        install_package redis-server
    fi
}

# The ring: every topic on this host.
function zmq_receiver_write_ring {
    local topic host
    host=$(hostname)
    for topic in $ZMQ_TOPICS; do
        sudo matchmaker --backend "ring:$ZMQ_RING" register "$topic" "$host"
    done
}

function zmq_receiver_configure {
    local file=/etc/oslo/zmq_receiver.conf
    iniset -sudo $file DEFAULT rpc_zmq_host "$(hostname)"
    if [[ $ZMQ_MATCHMAKER == ring ]]; then
        zmq_receiver_write_ring
    fi
    oslo-messaging-zmq-receiver check-config --no-environment --config-file $file
}

# DevStack calls this for each service's file; it takes the place of the one for RabbitMQ.
function zmq_receiver_iniset {
    local file=$2 section=${3:-DEFAULT}
    iniset "$file" "$section" rpc_backend zmq
    iniset "$file" "$section" rpc_zmq_host "$(hostname)"
    iniset "$file" "$section" rpc_zmq_matchmaker "$ZMQ_MATCHMAKER"
    if [[ $ZMQ_MATCHMAKER == redis ]]; then
        iniset "$file" matchmaker_redis host "$ZMQ_REDIS_HOST"
    else
        iniset "$file" matchmaker_ring ringfile "$ZMQ_RING"
    fi
}

if is_service_enabled zmq-receiver; then
    function iniset_rpc_backend {
        zmq_receiver_iniset "$@"
    }
    export -f iniset_rpc_backend

    case "$1 $2" in
    "stack install") zmq_receiver_install ;;
    # Before any service starts.
    "stack post-config")
        zmq_receiver_configure
        sudo systemctl restart oslo-messaging-zmq-receiver
        ;;
    esac
    case $1 in
    unstack) sudo systemctl stop oslo-messaging-zmq-receiver ;;
    clean) sudo dpkg --purge oslo-messaging-zmq-receiver ;;
    esac
fi
