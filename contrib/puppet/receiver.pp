# The receiver in place of the Python one, for hosts whose files are Puppet's.
#
# A module that wrote /etc/oslo/zmq_receiver.conf for the Python receiver may go on doing so: the same file is read. What is new:
# the package, and systemd's unit in place of a job of one's own.
#
#   class { 'zmq_receiver': package_file => '/var/cache/zmq_receiver.deb' }
class zmq_receiver (
  String           $package_file,
  Boolean          $debug         = false,
  String           $bind_address  = '*',
  Integer          $port          = 9501,
  String           $ipc_dir       = '/var/run/openstack',
  Optional[String] $hostname      = $facts['networking']['hostname'],
  Array[String]    $service_users = ['nova', 'cinder'],
) {
  package { 'oslo-messaging-zmq-receiver':
    ensure   => installed,
    provider => 'dpkg',
    source   => $package_file,
  }

  # A file that is wrong is not put in place, and the running receiver keeps the one it has.
  file { '/etc/oslo/zmq_receiver.conf':
    ensure       => file,
    owner        => 'root',
    group        => 'root',
    mode         => '0644',
    validate_cmd => '/usr/bin/oslo-messaging-zmq-receiver check-config --no-environment --config-file %',
    content      => join([
      '[DEFAULT]',
      "debug = ${debug}",
      "rpc_zmq_bind_address = ${bind_address}",
      "rpc_zmq_port = ${port}",
      "rpc_zmq_ipc_dir = ${ipc_dir}",
      "rpc_zmq_host = ${hostname}",
      '',
    ], "\n"),
    require      => Package['oslo-messaging-zmq-receiver'],
    notify       => Service['oslo-messaging-zmq-receiver'],
  }

  # The services connect to the receiver's sockets by their group.
  $service_users.each |String $user| {
    exec { "add ${user} to the group openstack":
      command => "usermod -a -G openstack ${user}",
      onlyif  => "id ${user}",
      unless  => "id -nG ${user} | grep -qw openstack",
      path    => '/usr/sbin:/usr/bin:/sbin:/bin',
      require => Package['oslo-messaging-zmq-receiver'],
    }
  }

  # Restarted, not reloaded: addresses, port and directory count from a start. Senders wait meanwhile, and lose nothing.
  service { 'oslo-messaging-zmq-receiver':
    ensure => running,
    enable => true,
  }
}
