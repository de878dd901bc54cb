"""Label maps of pictures by the baselines of scikit-image.

    python3 felzenszwalb.py LIST OUT METHOD...

LIST is a file with the path of a picture a line. METHOD is felzenszwalb-SCALE, slic-ncut or kmeans.
Writes OUT/METHOD/ID.npy (float32) and prints a line of JSON a method: {"method": ..., "ms": mean milliseconds a picture}.
"""

import inspect
import json
import os
import sys
import time

import numpy as np
from skimage import color, io, segmentation


def felzenszwalb(image, scale):
    # sigma and min_size as in the example of scikit-image.
    return segmentation.felzenszwalb(image, scale=scale, sigma=0.5, min_size=50)


def slic_ncut(image):
    # The graph module was moved between versions.
    try:
        from skimage import graph
        graph.rag_mean_color
    except (ImportError, AttributeError):
        from skimage.future import graph
    cells = segmentation.slic(image, n_segments=400, compactness=20, start_label=0)
    rag = graph.rag_mean_color(image, cells, mode="similarity")
    # So was the name of its seed.
    seed = {"random_state", "rng"} & set(inspect.signature(graph.cut_normalized).parameters)
    return graph.cut_normalized(cells, rag, **{name: 0 for name in seed})


def kmeans(image):
    from scipy.cluster.vq import kmeans2

    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    features = np.concatenate([color.rgb2lab(image), np.stack([y, x], -1) * 0.2], -1)
    flat = features.reshape(-1, 5)
    centres, _ = kmeans2(flat[::7], 4, minit="++", seed=0)
    return ((flat[:, None] - centres) ** 2).sum(-1).argmin(1).reshape(height, width)


def run(method, image):
    if method.startswith("felzenszwalb-"):
        return felzenszwalb(image, float(method.split("-")[1]))
    return {"slic-ncut": slic_ncut, "kmeans": kmeans}[method](image)


def main(listed, out, methods):
    with open(listed, encoding="utf-8") as lines:
        files = lines.read().split("\n")
    for method in methods:
        folder = os.path.join(out, method)
        os.makedirs(folder)
        total = 0.0
        for file in files:
            image = io.imread(file)
            begin = time.perf_counter()
            labels = run(method, image)
            total += time.perf_counter() - begin
            labels = np.unique(labels, return_inverse=True)[1].reshape(image.shape[:2])
            name = os.path.splitext(os.path.basename(file))[0]
            np.save(os.path.join(folder, name + ".npy"), labels.astype(np.float32))
        print(json.dumps({"method": method, "ms": 1000 * total / len(files)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
