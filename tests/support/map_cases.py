"""What the map from ONNX to TensorFlow takes: by case, the nodes, the shape of the input, and the weights."""

import numpy as np

EVEN, ODD, PIXEL = (1, 4, 8, 8), (1, 4, 9, 7), (1, 4, 1, 1)
TO_ROW = "p = GlobalAveragePool(input) f = Flatten(p)"
LSTM = {"w": (12, 5), "r": (12, 3), "b": (24,)}  # without the axis of directions
GRU = {"w": (9, 5), "r": (9, 3), "b": (18,)}
SCALAR = np.float32(3).reshape(())

CASES = {
    **{
        f"conv {kernel}x{kernel} stride {stride} on {shape[2]}x{shape[3]}": (
            f"logits = Conv<strides=[{stride},{stride}], pads=[{kernel // 2},{kernel // 2},{kernel // 2},{kernel // 2}]"
            ">(input, w, b)",
            shape,
            {"w": (6, 4, kernel, kernel), "b": (6,)},
        )
        for kernel in (1, 3, 5)
        for stride in (1, 2)
        for shape in (EVEN, ODD)
    },
    "conv without padding or bias": ("logits = Conv(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv with uneven pads": ("logits = Conv<pads=[0,1,2,1]>(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv with uneven strides": ("logits = Conv<strides=[2,1], pads=[1,0,1,2]>(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv in two groups": ("logits = Conv<group=2, pads=[1,1,1,1]>(input, w)", EVEN, {"w": (6, 2, 3, 3)}),
    "depthwise, stride 2": (
        "logits = Conv<group=4, strides=[2,2], pads=[2,2,2,2]>(input, w, b)",
        EVEN,
        {"w": (4, 1, 5, 5), "b": (4,)},
    ),
    "depthwise, two outputs a channel": ("logits = Conv<group=4>(input, w)", ODD, {"w": (8, 1, 3, 3)}),
    "relu": ("logits = Relu(input)", EVEN, {}),
    "relu6": ("logits = Clip(input, zero, six)", EVEN, {"zero": SCALAR * 0, "six": SCALAR * 2}),
    "clip, above only": ("logits = Clip(input, , high)", EVEN, {"high": SCALAR / 4}),
    "clip, below only": ("logits = Clip(input, low)", EVEN, {"low": -SCALAR / 4}),
    "hard swish": ("logits = HardSwish(input)", EVEN, {}),
    "hard sigmoid": ("logits = HardSigmoid<alpha=0.16666667>(input)", EVEN, {}),
    "hard sigmoid, ONNX's slope": ("logits = HardSigmoid(input)", EVEN, {}),
    "global average": ("logits = GlobalAveragePool(input)", ODD, {}),
    **{
        f"max pool 3x3 stride {stride} on {shape[2]}x{shape[3]}{after}": (
            f"{'r = Relu(input)' if after else ''} logits = MaxPool<kernel_shape=[3,3], strides=[{stride},{stride}], "
            f"pads=[1,1,1,1]>({'r' if after else 'input'})",
            shape,
            {},
        )
        for stride in (1, 2)
        for shape in (EVEN, ODD)
        for after in ("", ", nothing below 0")
    },
    "max pool, dilated": (
        "logits = MaxPool<kernel_shape=[3,2], strides=[2,1], dilations=[2,3], pads=[2,1,1,1]>(input)",
        ODD,
        {},
    ),
    **{
        f"average pool, dilated{words}": (
            f"logits = AveragePool<kernel_shape=[3,2], strides=[2,1], dilations=[2,3]{more}>(input)",
            ODD,
            {},
        )
        for words, more in (
            ("", ", pads=[2,1,1,1]"),
            (", all counted", ", pads=[2,1,1,1], count_include_pad=1"),
            (", rounded up", ", pads=[2,1,1,1], ceil_mode=1"),
        )
    },
    "max pool without padding": ("logits = MaxPool<kernel_shape=[2,2], strides=[2,2]>(input)", ODD, {}),
    "average pool": ("logits = AveragePool<kernel_shape=[2,2], strides=[2,2]>(input)", ODD, {}),
    "average pool, rounded up": (
        "logits = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(input)",
        ODD,
        {},
    ),
    "average pool, nothing to round": (
        "logits = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(input)",
        EVEN,
        {},
    ),
    "mean, dimensions kept": ("logits = ReduceMean<axes=[2,3]>(input)", ODD, {}),
    "mean to a row": ("logits = ReduceMean<axes=[-1,-2], keepdims=0>(input)", ODD, {}),
    "squeeze": ("logits = Squeeze(input, axes)", PIXEL, {"axes": np.array([2, 3])}),
    "flatten": ("logits = Flatten(input)", PIXEL, {}),
    "reshape": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([1, -1])}),
    "reshape, the batch left over": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([-1, 4])}),
    "a weight by another name": ("v = Identity(w) logits = Conv(input, v)", EVEN, {"w": (6, 4, 1, 1)}),
    "gemm": (f"{TO_ROW} logits = Gemm<transB=1>(f, w, b)", ODD, {"w": (5, 4), "b": (5,)}),
    "gemm, scaled": (f"{TO_ROW} logits = Gemm<alpha=2.0, beta=0.5>(f, w, b)", ODD, {"w": (4, 5), "b": (5,)}),
    "gemm without bias": (f"{TO_ROW} logits = Gemm(f, w)", ODD, {"w": (4, 5)}),
    "matmul and a row added": (f"{TO_ROW} m = MatMul(f, w) logits = Add(m, b)", ODD, {"w": (4, 5), "b": (5,)}),
    "a gate": ("p = GlobalAveragePool(input) logits = Mul(input, p)", ODD, {}),
    "a constant for each channel": ("logits = Mul(c, input)", ODD, {"c": (1, 4, 1, 1)}),
    "a constant map": ("logits = Add(input, c)", ODD, {"c": (1, 4, 9, 7)}),
    "a constant number": ("logits = Add(input, c)", ODD, {"c": SCALAR}),
    "a constant node": ("c = Constant<value_float = 2.5>() logits = Mul(input, c)", ODD, {}),
    "identity": ("i = Identity(input) logits = Relu(i)", EVEN, {}),
    # Layouts: axes written anew, and moved where they have to be.
    "a map flattened": ("logits = Flatten(input)", ODD, {}),
    "a map flattened at another axis": ("logits = Flatten<axis=2>(input)", ODD, {}),
    "reshape to another map": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([1, 2, 2, 1])}),
    "tokens of a map": (
        "r = Reshape(input, to) logits = Transpose<perm=[0,2,1]>(r)",
        ODD,
        {"to": np.array([0, 4, -1])},
    ),
    "shuffled channels": (
        "r = Reshape(input, to) t = Transpose<perm=[0,2,1,3,4]>(r) logits = Reshape(t, back)",
        EVEN,
        {"to": np.array([1, 2, 2, 8, 8]), "back": np.array([1, 4, 8, 8])},
    ),
    "transposed and convolved": ("t = Transpose<perm=[0,2,1,3]>(input) logits = Conv(t, w)", EVEN, {"w": (3, 8, 3, 3)}),
    "transposed there and back": (
        "t = Transpose<perm=[0,2,3,1]>(input) s = Relu(t) logits = Transpose<perm=[0,3,1,2]>(s)",
        ODD,
        {},
    ),
    "transposed, then a row added": ("t = Transpose<perm=[0,2,3,1]>(input) logits = Add(t, c)", ODD, {"c": (4,)}),
    "two layouts added": (
        "t = Transpose<perm=[0,1,3,2]>(input) logits = Add(t, input)",
        EVEN,
        {},
    ),
    "a row over a map": ("logits = Add(input, c)", EVEN, {"c": (8,)}),
    "a column over a map": ("logits = Mul(input, c)", EVEN, {"c": (4, 1, 1)}),
    "a larger constant": ("r = Reshape(input, to) logits = Add(r, c)", PIXEL, {"to": np.array([1, 4]), "c": (3, 1, 4)}),
    "squeeze, all": ("logits = Squeeze(input)", (1, 4, 1, 7), {}),
    "squeeze and unsqueeze": (
        "s = Squeeze(input, out) logits = Unsqueeze(s, in_)",
        (1, 4, 1, 7),
        {"out": np.array([2]), "in_": np.array([1, -1])},
    ),
    "concat of channels": ("a = Relu(input) logits = Concat<axis=1>(a, input, c)", ODD, {"c": (1, 2, 9, 7)}),
    "concat of two layouts": ("t = Transpose<perm=[0,1,3,2]>(input) logits = Concat<axis=-1>(input, t)", EVEN, {}),
    "slice": (
        "logits = Slice(input, a, b, c, d)",
        ODD,
        {"a": np.array([1, -3]), "b": np.array([2**60, -(2**60)]), "c": np.array([1, 2]), "d": np.array([2, -1])},
    ),
    "split": ("a, b = Split<axis=1>(input, parts) logits = Concat<axis=1>(b, a)", ODD, {"parts": np.array([1, 3])}),
    "split in equal parts": ("a, b = Split<axis=1, num_outputs=2>(input) logits = Sub(a, b)", ODD, {}),
    "pad": ("logits = Pad(input, to)", ODD, {"to": np.array([0, 1, 0, 2, 0, 0, 3, 1])}),
    "pad by a number": ("logits = Pad(input, to, v)", ODD, {"to": np.array([0, 0, 1, 2, 0, 0, 3, 1]), "v": SCALAR}),
    "pad, mirrored": ('logits = Pad<mode="reflect">(input, to)', ODD, {"to": np.array([0, 0, 1, 2, 0, 0, 3, 1])}),
    "expand": ("p = GlobalAveragePool(input) logits = Expand(p, to)", ODD, {"to": np.array([1, 4, 3, 5])}),
    "gather": ("logits = Gather<axis=1>(input, at)", ODD, {"at": np.array([2, -1, 0])}),
    "gather by a table": ("logits = Gather<axis=1>(input, at)", ODD, {"at": np.array([[2, -1, 0], [1, 1, 3]])}),
    "gather one": ("logits = Gather<axis=2>(input, at)", ODD, {"at": np.array(3)}),
    "depth to space": ("logits = DepthToSpace<blocksize=2>(input)", EVEN, {}),
    "depth to space, channels first": ('logits = DepthToSpace<blocksize=2, mode="CRD">(input)', (1, 8, 3, 5), {}),
    "space to depth": ("logits = SpaceToDepth<blocksize=2>(input)", EVEN, {}),
    # Sizes.
    **{
        f"resize {mode}, {where}, by {factor}": (
            f'logits = Resize<mode="{mode}", coordinate_transformation_mode="{where}">(input, , scales)',
            ODD,
            {"scales": np.array([1, 1, factor, factor], np.float32)},
        )
        for mode in ("nearest", "linear")
        for where in ("half_pixel", "asymmetric", "align_corners")
        for factor in (2, 1.5)
        if (mode, factor) != ("linear", 1.5) or where == "align_corners"
    },
    "resize to sizes": ("logits = Resize(input, , , to)", ODD, {"to": np.array([1, 4, 5, 21])}),
    "upsample": (
        'logits = Resize<nearest_mode="floor", coordinate_transformation_mode="asymmetric">(input, , s)',
        ODD,
        {"s": np.array([1, 1, 3, 3], np.float32)},
    ),
    # Windows.
    "pads by name": ('logits = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(input, w)', EVEN, {"w": (4, 4, 3, 3)}),
    "pads by name, in front": (
        'logits = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(input, w)',
        EVEN,
        {"w": (4, 4, 3, 3)},
    ),
    "max pool, rounded up": ("logits = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(input)", EVEN, {}),
    "max pool, wide pads": ("logits = MaxPool<kernel_shape=[3,3], pads=[2,2,2,2]>(input)", ODD, {}),
    **{
        f"average pool with pads, {'' if counted else 'not '}counted, on {shape[2]}x{shape[3]}": (
            "logits = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], "
            f"count_include_pad={counted}>(input)",
            shape,
            {},
        )
        for counted in (0, 1)
        for shape in (EVEN, ODD)
    },
    "average pool, overlapping and rounded up": (
        "logits = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(input)",
        EVEN,
        {},
    ),
    "global maximum": ("logits = GlobalMaxPool(input)", ODD, {}),
    "conv transpose": (
        "logits = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(input, w, b)",
        ODD,
        {"w": (4, 3, 3, 3), "b": (3,)},
    ),
    "conv transpose, plain": ("logits = ConvTranspose<strides=[2,3]>(input, w)", ODD, {"w": (4, 3, 2, 3)}),
    # One element at a time.
    **{
        name.lower(): (f"logits = {name}(input)", ODD, {})
        for name in (
            "Abs",
            "Dropout",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "Gelu",
            "LeakyRelu",
            "Neg",
            "Sigmoid",
            "Softmax",
            "Tanh",
        )
    },
    "gelu by tanh": ('logits = Gelu<approximate="tanh">(input)', ODD, {}),
    "cast": ("logits = Cast<to=1>(input)", ODD, {}),
    "root": ("a = Abs(input) logits = Sqrt(a)", ODD, {}),
    "logarithm": ("a = Exp(input) s = Mul(a, a) logits = Log(s)", ODD, {}),
    "reciprocal": ("a = Exp(input) logits = Reciprocal(a)", ODD, {}),
    "division": ("a = Exp(input) logits = Div(input, a)", ODD, {}),
    "a number over a map": ("a = Exp(input) logits = Div(c, a)", ODD, {"c": SCALAR}),
    "difference": ("logits = Sub(c, input)", ODD, {"c": (1, 4, 1, 1)}),
    "square": ("logits = Pow(input, c)", ODD, {"c": np.float32(2).reshape(())}),
    "cube of an exponential": ("a = Exp(input) logits = Pow(a, c)", ODD, {"c": SCALAR / 2}),
    "maximum of three": ("a = Neg(input) logits = Max(input, a, c)", ODD, {"c": SCALAR / 4}),
    "minimum": ("a = Neg(input) logits = Min(input, a)", ODD, {}),
    "prelu": ("logits = PRelu(input, c)", ODD, {"c": (4, 1, 1)}),
    "softmax over channels": ("logits = Softmax<axis=1>(input)", ODD, {}),
    # Normalisation.
    "batch normalisation": (
        "logits = BatchNormalization(input, s, b, m, w)",
        ODD,
        {"s": (4,), "b": (4,), "m": (4,), "w": np.arange(1, 5, dtype=np.float32)},
    ),
    "instance normalisation": ("logits = InstanceNormalization(input, s, b)", ODD, {"s": (4,), "b": (4,)}),
    "layer normalisation": ("logits = LayerNormalization(input, s, b)", ODD, {"s": (7,), "b": (7,)}),
    "layer normalisation of channels": (
        "t = Transpose<perm=[0,2,3,1]>(input) n = LayerNormalization(t, s, b) logits = Transpose<perm=[0,3,1,2]>(n)",
        ODD,
        {"s": (4,), "b": (4,)},
    ),
    # Sums.
    "mean over channels": ("logits = ReduceMean<axes=[1]>(input)", EVEN, {}),
    "mean of everything": ("logits = ReduceMean<axes=[1,2,3], keepdims=0>(input)", EVEN, {}),
    "reducesum": ("logits = ReduceSum<keepdims=0>(input, axes)", ODD, {"axes": np.array([1, -1])}),
    "reducel2": ("logits = ReduceL2<axes=[1, 3], keepdims=0>(input)", ODD, {}),
    "reducemax": ("logits = ReduceMax<axes=[1, 3], keepdims=0>(input)", ODD, {}),
    "reducemin": ("logits = ReduceMin<axes=[2]>(input)", ODD, {}),
    # Products.
    "attention": (
        "t = Reshape(input, to) q = MatMul(t, w) k = Transpose<perm=[0,2,1]>(t) s = MatMul(q, k) p = Softmax(s) "
        "logits = MatMul(p, t)",
        EVEN,
        {"to": np.array([1, 16, 16]), "w": (16, 16)},
    ),
    "einsum": (
        'r = Reshape(input, to) logits = Einsum<equation="bhwc,hkc->bhwk">(r, w)',
        EVEN,
        {"to": np.array([1, 4, 8, 8]), "w": (4, 5, 8)},
    ),
    # Signals: maps of height 1.
    **{
        f"a signal, {name}": (f"s = Squeeze(input, two) {body}", (1, 4, 1, 11), {"two": np.array([2]), **weights})
        for name, body, weights in (
            ("conv", "logits = Conv<pads=[2,1], strides=[2]>(s, w, b)", {"w": (6, 4, 3), "b": (6,)}),
            ("depthwise", "logits = Conv<group=4, pads=[1,1]>(s, w)", {"w": (4, 1, 3)}),
            ("by name", 'logits = Conv<auto_pad="SAME_UPPER", strides=[2]>(s, w)', {"w": (6, 4, 3)}),
            ("of channels", "t = Transpose<perm=[0,2,1]>(s) logits = Conv<pads=[1,1]>(t, w)", {"w": (2, 11, 3)}),
            ("transposed", "logits = ConvTranspose<strides=[2], output_padding=[1]>(s, w)", {"w": (4, 6, 3)}),
            ("maximum", "logits = MaxPool<kernel_shape=[3], strides=[2], pads=[1,1]>(s)", {}),
            ("average", "logits = AveragePool<kernel_shape=[3], strides=[2], pads=[1,1]>(s)", {}),
            ("mean", "logits = GlobalAveragePool(s)", {}),
            ("largest", "logits = GlobalMaxPool(s)", {}),
        )
    },
    # Volumes: batches of maps along one axis.
    **{
        f"a volume, {name}": (
            f"s = Reshape(input, to) {body}",
            (1, 4, 6, 35),
            {"to": np.array([1, 4, 6, 5, 7] if "ordered" not in name else [1, 6, 5, 7, 4]), **weights},
        )
        for name, body, weights in (
            ("conv", "logits = Conv<pads=[1,0,2,1,1,0], strides=[2,1,2]>(s, w, b)", {"w": (6, 4, 3, 2, 3), "b": (6,)}),
            ("by one tap", "logits = Conv<pads=[1,1,0,1,1,0]>(s, w)", {"w": (6, 4, 3, 3, 1)}),
            ("by the middle", "logits = Conv<pads=[1,0,1,1,0,1], strides=[1,2,1]>(s, w)", {"w": (3, 4, 3, 1, 3)}),
            ("dilated", "logits = Conv<dilations=[2,1,2], pads=[1,0,0,1,0,0]>(s, w)", {"w": (3, 4, 3, 2, 3)}),
            ("in two groups", "logits = Conv<group=2, pads=[0,1,1,0,1,1]>(s, w, b)", {"w": (6, 2, 1, 3, 3), "b": (6,)}),
            ("depthwise", "logits = Conv<group=4, pads=[1,1,1,1,1,1]>(s, w)", {"w": (4, 1, 3, 3, 3)}),
            ("by name", 'logits = Conv<auto_pad="SAME_LOWER", strides=[2,2,2]>(s, w)', {"w": (6, 4, 2, 3, 4)}),
            (
                "ordered",
                "t = Transpose<perm=[0,4,1,2,3]>(s) logits = Conv<pads=[1,1,1,1,1,1]>(t, w)",
                {"w": (2, 4, 3, 3, 3)},
            ),
            ("two", "c = Conv(s, w) r = Relu(c) logits = Conv(r, v)", {"w": (5, 4, 2, 3, 3), "v": (2, 5, 2, 1, 1)}),
            ("maximum", "logits = MaxPool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[1,0,1,1,1,1]>(s)", {}),
            ("maximum, up", "logits = MaxPool<kernel_shape=[2,2,2], strides=[2,2,2], ceil_mode=1>(s)", {}),
            ("average", "logits = AveragePool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[1,0,1,1,1,1]>(s)", {}),
            (
                "average, all counted",
                "logits = AveragePool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[1,0,1,1,1,1], "
                "count_include_pad=1>(s)",
                {},
            ),
            (
                "maximum, dilated",
                "logits = MaxPool<kernel_shape=[2,3,2], dilations=[2,1,2], pads=[1,0,1,1,1,1]>(s)",
                {},
            ),
            (
                "transposed",
                "logits = ConvTranspose<strides=[2,1,2], pads=[1,0,1,0,1,1], output_padding=[1,0,1]>(s, w, b)",
                {"w": (4, 5, 3, 2, 3), "b": (5,)},
            ),
            ("transposed, as U-Nets have it", "logits = ConvTranspose<strides=[2,2,2]>(s, w)", {"w": (4, 3, 2, 2, 2)}),
            (
                "transposed, with gaps",
                "logits = ConvTranspose<strides=[3,2,2], dilations=[3,1,2], group=2>(s, w, b)",
                {"w": (4, 2, 2, 2, 2), "b": (4,)},
            ),
            (
                "transposed, to a size",
                "logits = ConvTranspose<strides=[3,2,2], output_shape=[10,8,8]>(s, w)",
                {"w": (4, 2, 2, 2, 2)},
            ),
            ("mean", "logits = GlobalAveragePool(s)", {}),
            ("largest", "logits = GlobalMaxPool(s)", {}),
        )
    },
    # Recurrent: unrolled. Seven steps of one sample with five features.
    **{
        f"recurrent, {name}": (
            f"s = Reshape(input, to) {body}",
            (1, 1, 7, 5),
            {"to": np.array([7, 1, 5]), "at": np.array([1]), **{key: (ways, *size) for key, size in weights.items()}},
        )
        for name, body, ways, weights in (
            ("lstm", "logits = LSTM<hidden_size=3>(s, w, r, b)", 1, LSTM),
            ("lstm, its last", "y, logits = LSTM<hidden_size=3>(s, w, r, b)", 1, LSTM),
            ("lstm, its cell", "y, h, logits = LSTM<hidden_size=3>(s, w, r, b)", 1, LSTM),
            ("lstm, all", "y, h, c = LSTM<hidden_size=3>(s, w, r, b) q = Squeeze(y) logits = Add(q, c)", 1, LSTM),
            ("lstm, backwards", 'logits = LSTM<hidden_size=3, direction="reverse">(s, w, r, b)', 1, LSTM),
            ("lstm, both ways", 'logits = LSTM<hidden_size=3, direction="bidirectional">(s, w, r, b)', 2, LSTM),
            ("lstm, last of both", 'y, logits = LSTM<hidden_size=3, direction="bidirectional">(s, w, r)', 2, LSTM),
            (
                "lstm, from a state",
                'logits = LSTM<hidden_size=3, direction="bidirectional">(s, w, r, b, , h, c)',
                2,
                {**LSTM, "h": (1, 3), "c": (1, 3)},
            ),
            (
                "lstm, stacked",
                "y = LSTM<hidden_size=3>(s, w, r, b) q = Squeeze(y, at) "
                'logits, g = LSTM<hidden_size=3, activations=["Sigmoid", "Relu", "Tanh"]>(q, w2, r, b)',
                1,
                {**LSTM, "w2": (12, 3)},
            ),
            ("lstm, peeping", "logits = LSTM<hidden_size=3>(s, w, r, b, , , , p)", 1, {**LSTM, "p": (9,)}),
            (
                "lstm, peeping both ways, from a state",
                'y, h2, logits = LSTM<hidden_size=3, direction="bidirectional">(s, w, r, b, , h, c, p)',
                2,
                {**LSTM, "h": (1, 3), "c": (1, 3), "p": (9,)},
            ),
            ("gru", "logits = GRU<hidden_size=3>(s, w, r, b)", 1, GRU),
            ("gru, as torch has it", "logits = GRU<hidden_size=3, linear_before_reset=1>(s, w, r, b)", 1, GRU),
            (
                "gru, both ways, from a state",
                'y, logits = GRU<hidden_size=3, linear_before_reset=1, direction="bidirectional">(s, w, r, b, , h)',
                2,
                {**GRU, "h": (1, 3)},
            ),
            ("gru, from a state", "logits = GRU<hidden_size=3>(s, w, r, b, , h)", 1, {**GRU, "h": (1, 3)}),
            ("rnn", "logits = RNN<hidden_size=3>(s, w, r, b)", 1, {"w": (3, 5), "r": (3, 3), "b": (6,)}),
            (
                "rnn, backwards, of relu",
                'logits = RNN<hidden_size=3, direction="reverse", activations=["Relu"]>(s, w, r)',
                1,
                {"w": (3, 5), "r": (3, 3)},
            ),
        )
    },
    # By matrices.
    "a cubic resize": ('logits = Resize<mode="cubic">(input, , s)', ODD, {"s": np.array([1, 1, 2, 0.7], np.float32)}),
    "a cubic resize to sizes": (
        'logits = Resize<mode="cubic", coordinate_transformation_mode="align_corners", cubic_coeff_a=-0.5>'
        "(input, , , s)",
        ODD,
        {"s": np.array([1, 4, 5, 12])},
    ),
    "a linear resize to part of a pixel": (
        'logits = Resize<mode="linear">(input, , s)',
        ODD,
        {"s": np.array([1, 1, 1.5, 1.5], np.float32)},
    ),
    # By what is equal.
    "equal": ("a = Relu(input) e = Equal(input, a) logits = Cast<to=1>(e)", ODD, {}),
    "equal to a number": ("a = Relu(input) e = Equal(a, c) logits = Cast<to=1>(e)", ODD, {"c": SCALAR * 0}),
    "one or the other": (
        "a = Relu(input) e = Equal(input, a) n = Neg(input) logits = Where(e, n, c)",
        ODD,
        {"c": (4, 1, 1)},
    ),
    "one or the other, both constants": (
        "a = Relu(input) p = ReduceMax<axes=[1]>(a) e = Equal(p, zero) logits = Where(e, c, d)",
        ODD,
        {"c": (4, 1, 1), "d": (7,), "zero": SCALAR * 0},
    ),
    "one or the other by a mask": ("logits = Where(m, input, c)", ODD, {"m": np.arange(7) % 2 == 0, "c": SCALAR}),
    # Fewer.
    "tile": ("logits = Tile(input, by)", ODD, {"by": np.array([1, 2, 1, 3])}),
    "places replaced": (
        "p = GlobalAveragePool(input) r = Reshape(p, to) logits = ScatterND(input, at, r)",
        ODD,
        {"at": np.array([[0, 1, 2, 3], [0, 3, 8, 6], [0, 0, 0, 0], [0, 2, 5, 5]]), "to": np.array([4])},
    ),
    "ceil": ("logits = Ceil(input)", EVEN, {}),
    "sign": ("logits = Sign(input)", EVEN, {}),
    "selu": ("logits = Selu<alpha=2.0, gamma=0.9>(input)", EVEN, {}),
    "celu": ("logits = Celu<alpha=0.7>(input)", EVEN, {}),
    "softplus": ("logits = Softplus(input)", EVEN, {}),
    "softsign": ("logits = Softsign(input)", EVEN, {}),
    "mish": ("logits = Mish(input)", EVEN, {}),
    "sum": ("a = Relu(input) logits = Sum(input, a, c)", ODD, {"c": (4, 1, 1)}),
    "mean of three": ("a = Relu(input) logits = Mean(input, a, c)", ODD, {"c": (4, 1, 1)}),
    "log softmax of channels": ("logits = LogSoftmax<axis=1>(input)", ODD, {}),
    "reducel1": ("logits = ReduceL1<axes=[1, 3], keepdims=0>(input)", ODD, {}),
    "reducelogsum": ("a = Exp(input) logits = ReduceLogSum<axes=[1, 3]>(a)", ODD, {}),
    "reduceprod": ("logits = ReduceProd<axes=[1]>(input)", ODD, {}),
    "reducesumsquare": ("logits = ReduceSumSquare<axes=[2, 3], keepdims=0>(input)", ODD, {}),
    "gemm of a column": (f"{TO_ROW} logits = Gemm<transA=1>(f, w)", ODD, {"w": (1, 5)}),
}
