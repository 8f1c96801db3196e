#!/usr/bin/env bash
# Fetches the parts of Swagger UI that the page is made of, in the one version that is named here, into swagger-ui/. Needed are
# npm and a network; the files are checked in, so that building needs neither.
set -euo pipefail
cd "$(dirname "$0")"

version=5.35.0
sum=534eaba4cb56f55dd73c638179a993512af4674f63317e0826e00da44fc465b021c341bc0a0c2bcd4e18997927fe1d3008336c5dd19aad334d1c2dec53cc9551

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$work/$(npm pack --silent --pack-destination "$work" "swagger-ui-dist@$version")
echo "$sum  $archive" | sha512sum --check --quiet
tar -xzf "$archive" -C "$work"
for file in swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css LICENSE NOTICE; do
  # Without the reference to a source map, which is not among the files.
  sed '/^\(\/\/\|\/\*\)# sourceMappingURL=.*$/d' "$work/package/$file" >"swagger-ui/$file"
done
