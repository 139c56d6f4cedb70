"""A configuration directory for postconf(1): nothing runs."""

from __future__ import annotations

from collections.abc import Callable

MAIN = """\
# What Debian's installer writes, more or less.
compatibility_level = 3.6
myhostname = mail.example.com
queue_directory = /var/spool/postfix
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
message_strip_characters = \\0
"""
MASTER = """\
# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
#smtp      inet  n       -       y       -       1       postscreen
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  # a comment in between
    -o smtpd_sasl_auth_enable=yes
  -o milter_macro_daemon_name=ORIGINATING
submissions inet n       -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_milters = $mua_milters, inet:127.0.0.1:8891 }
127.0.0.1:10025 inet n - n - - smtpd -o smtpd_milters= -o content_filter=
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
"""

MakePostfix = Callable[..., str]
"""Lines added to main.cf, texts replaced in master.cf; returns the directory."""
