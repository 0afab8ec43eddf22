#!/bin/sh
# Installs the Debian packages that the tests need and that are missing; starts no service, now or at boot.
# `tests/install.sh bench`: and those that the benchmark needs.
#
# Each line below is a program and its package. The tests have configurations of their own, and run these programs in the
# foreground, on the loopback interface, as the current user.
set -eu
PATH=$PATH:/usr/sbin:/sbin

wanted='
nginx                                  nginx
apache2                                apache2-bin
/usr/lib/apache2/modules/mod_fcgid.so  libapache2-mod-fcgid
lighttpd                               lighttpd
haproxy                                haproxy
caddy                                  caddy
cgi-fcgi                               libfcgi-bin
curl                                   curl
/usr/sbin/php-fpm*                     php-fpm
php-cgi                                php-cgi
/usr/lib/php/*/mysqli.so*              php-mysql
/usr/lib/php/*/xml.so*                 php-xml
mariadbd                               mariadb-server-core
/usr/share/wordpress/wp-load.php       wordpress
/usr/share/wordpress/wp-content/themes/twentytwentythree  wordpress-theme-twentytwentythree
git                                    git
/usr/lib/git-core/git-http-backend     git
openssl                                openssl
pebble                                 pebble
/usr/bin/python3                       python3
chromium                               chromium
prometheus                             prometheus
pypy3                                  pypy3
node                                   nodejs
npm                                    npm
ruby                                   ruby
cc                                     gcc
setpriv                                util-linux
dh                                     debhelper
lintian                                lintian
mmdebstrap                             mmdebstrap
systemd-analyze                        systemd
systemd-socket-activate                systemd
/usr/lib/python3/dist-packages/venv    python3-venv
'
[ "${1-}" != bench ] || wanted=$wanted'
wrk                                    wrk
valgrind                               valgrind
/usr/include/ev.h                      libev-dev
'

missing=$(echo "$wanted" | while read -r program package; do
    case $program in
        '') continue ;;
        */venv) /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || echo "$package" ;;
        # Its name has a version.
        *'*') ls $program >/dev/null 2>&1 || echo "$package" ;;
        *) command -v "$program" >/dev/null || [ -e "$program" ] || echo "$package" ;;
    esac
done)
[ -n "$missing" ] || exit 0

packages=$(echo $missing)
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    echo "the tests need these packages, and only root can install them: apt-get install $packages" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "the tests need the programs of these Debian packages: $packages" >&2
    exit 1
fi

echo "installing $packages" >&2
$as_root sh -eu -s -- $packages <<'ROOT'
policy=/usr/sbin/policy-rc.d
saved=$policy.before-runner
services=/etc/systemd/system/multi-user.target.wants

# Packages ask this script before they start a service; it always denies (invoke-rc.d(8)).
restore() {
    rm -f "$policy"
    [ ! -e "$saved" ] || mv "$saved" "$policy"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
[ ! -e "$policy" ] || mv "$policy" "$saved"
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

enabled=$(ls "$services" 2>/dev/null || true)
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" >/dev/null

# A service that the installation has enabled would start at the next boot.
for unit in nginx.service apache2.service apache-htcacheclean.service lighttpd.service haproxy.service caddy.service prometheus.service $(ls "$services" 2>/dev/null | grep "^php.*-fpm.service$"); do
    if [ -e "$services/$unit" ] && ! echo "$enabled" | grep -qx "$unit"; then
        # One without a script for the older init has only the link.
        update-rc.d "${unit%.service}" disable 2>/dev/null || rm -f "$services/$unit"
    fi
done
ROOT
