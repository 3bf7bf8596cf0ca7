#!/usr/bin/env bash
# Rebuild the vendored front-end files from pinned npm packages. Run by `./dev vendor`; the results are committed,
# so running and testing the portal need no Node. htmx itself comes with django-htmx and is not vendored here.
# Deterministic: the same pins give the same bytes; static/vendor/VERSIONS records them with their checksums.
set -euo pipefail

PATTERNFLY=6.6.1
REDHAT_FONT=5.3.0 # only its licence text: PatternFly ships the font files without it
IDIOMORPH=0.8.0
NOVNC=1.7.0
UPLOT=1.6.32
POSTCSS=8.5.33
ESBUILD=0.28.2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v npm >/dev/null || { echo "build.sh: npm is needed to rebuild the vendored files (not to run the portal)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
    "@patternfly/patternfly@$PATTERNFLY" "@fontsource-variable/red-hat-text@$REDHAT_FONT" \
    "idiomorph@$IDIOMORPH" "@novnc/novnc@$NOVNC" "uplot@$UPLOT" "postcss@$POSTCSS" "esbuild@$ESBUILD"
npm_dir=$work/node_modules

# PatternFly: the components we use, in one stylesheet, and the fonts it names.
out=$here/patternfly
find "$out" -mindepth 1 ! -name LICENSE -delete 2>/dev/null || true
mkdir -p "$out/fonts"
cp "$here/patternfly.mjs" "$work/patternfly.mjs"
node "$work/patternfly.mjs" "$npm_dir/@patternfly/patternfly" "$here/../css/portal.css" >"$work/patternfly.css"
"$npm_dir/.bin/esbuild" "$work/patternfly.css" --minify --log-level=error --target=chrome120,firefox121,safari17.4 --outfile="$out/patternfly.min.css"
for font in Display Text Mono; do
    cp "$npm_dir/@patternfly/patternfly/assets/fonts/RedHat$font/RedHat${font}VF.woff2" "$out/fonts/"
done
cp "$npm_dir/@fontsource-variable/red-hat-text/LICENSE" "$out/fonts/LICENSE"
if grep -oE 'url\("?(https?:)?//[^)]*' "$out/patternfly.min.css"; then
    echo "build.sh: the stylesheet names another host" >&2
    exit 1
fi

# idiomorph with its htmx extension, as published.
out=$here/idiomorph
mkdir -p "$out"
cp "$npm_dir/idiomorph/dist/idiomorph-ext.min.js" "$npm_dir/idiomorph/LICENSE" "$out/"

# noVNC's client, without its pages, as one module; with the licences of noVNC and of pako, which it contains.
out=$here/novnc
mkdir -p "$out"
"$npm_dir/.bin/esbuild" "$npm_dir/@novnc/novnc/core/rfb.js" --bundle --format=esm --minify --legal-comments=none \
    --log-level=error --target=chrome120,firefox121,safari17.4 --outfile="$out/rfb.min.js"
cp "$npm_dir/@novnc/novnc/LICENSE.txt" "$out/LICENSE"
cp "$npm_dir/@novnc/novnc/docs/LICENSE.MPL-2.0" "$out/LICENSE.MPL-2.0"
cp "$npm_dir/@novnc/novnc/vendor/pako/LICENSE" "$out/LICENSE.pako"

# uPlot: the module as published but for its white space, and its few rules.
out=$here/uplot
mkdir -p "$out"
"$npm_dir/.bin/esbuild" "$npm_dir/uplot/dist/uPlot.esm.js" --minify --format=esm --legal-comments=inline --log-level=error --outfile="$out/uPlot.esm.min.js"
cp "$npm_dir/uplot/dist/uPlot.min.css" "$npm_dir/uplot/LICENSE" "$out/"

record() { # name version licence file...
    local name=$1 version=$2 licence=$3
    shift 3
    for file in "$@"; do
        printf '%s  %s  %s  %s  %s\n' "$name" "$version" "$licence" "$(sha256sum "$file" | cut -d' ' -f1)" "$file"
    done
}
cd "$here"
{
    echo "# name  version  licence  sha256  file (written by build.sh; checked by \`sha256sum\`)"
    record patternfly "$PATTERNFLY" MIT patternfly/LICENSE patternfly/patternfly.min.css
    record red-hat-fonts "$PATTERNFLY" OFL-1.1 patternfly/fonts/*
    record idiomorph "$IDIOMORPH" 0BSD idiomorph/*
    record novnc "$NOVNC" MPL-2.0 novnc/LICENSE novnc/LICENSE.MPL-2.0 novnc/rfb.min.js
    record pako-in-novnc "$NOVNC" MIT novnc/LICENSE.pako
    record uplot "$UPLOT" MIT uplot/*
} >VERSIONS
du -b patternfly/patternfly.min.css
