package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// images are references of the four images that the demo runs.
type images struct{ operator, spiders, counter, site string }

// builtImages are those that hack/images builds, and that the manifests name.
var builtImages = images{
	operator: "spider-operator:dev",
	spiders:  "spider-demo-scrapy:dev",
	counter:  "spider-demo-counter:dev",
	site:     "spider-demo-site:dev",
}

// digests tell one state of an image from another that bears the same name; empty where nothing is known.
type digests struct{ operator, site string }

// buildAndLoad puts the images on the local cluster's node.
func (d *demo) buildAndLoad(ctx context.Context) error {
	d.say.Heading("Images")
	printed, err := d.hack(ctx, "images", "build")
	if err != nil {
		return fmt.Errorf("build the images: %w", err)
	}
	archives := strings.Fields(printed)
	load := append([]string{"load"}, archives...)
	if _, err := d.hack(ctx, "cluster", load...); err != nil {
		return fmt.Errorf("load the images: %w", err)
	}
	for _, archive := range archives {
		switch strings.TrimSuffix(filepath.Base(archive), ".tar") {
		case "spider-operator":
			d.digests.operator, err = digest(archive)
		case "spider-demo-site":
			d.digests.site, err = digest(archive)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func digest(archive string) (string, error) {
	content, err := os.ReadFile(archive)
	if err != nil {
		return "", fmt.Errorf("read an image: %w", err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content)), nil
}

// withImages puts the images wanted into a manifest, and the site's digest: by it a Deployment sees that there is another
// image by the same name.
func withImages(manifest string, wanted images, known digests) string {
	return strings.NewReplacer(
		"image: "+builtImages.spiders+"\n", "image: "+wanted.spiders+"\n",
		"image: "+builtImages.counter+"\n", "image: "+wanted.counter+"\n",
		"image: "+builtImages.site+"\n", "image: "+wanted.site+"\n",
		digestAnnotation+`: ""`, fmt.Sprintf("%s: %q", digestAnnotation, known.site),
	).Replace(manifest)
}

const digestAnnotation = "scrapethis.app/image-digest"
