// Predictions of a net that forebay exported as JSON (NAME.weights.json). The module needs no other package and runs in
// browsers and in Node.
//
//   const net = checkNet(JSON.parse(text));
//   predict(net, {rain: 12.5, stream: 0.43});

const LAYERS = {
  normalisation: ({ mean, deviation }, values) => values.map((value, k) => (value - mean[k]) / deviation[k]),
  // One list of weights per unit, with one weight per input of the layer.
  dense: ({ weights, bias }, values) =>
    weights.map((unit, k) => unit.reduce((sum, weight, j) => sum + weight * values[j], 0) + bias[k]),
  relu: (_layer, values) => values.map((value) => Math.max(value, 0)),
};

// The net itself; throws if the object is no net of forebay in format version 1.
export function checkNet(net) {
  if (net?.format !== "forebay-net" || net.version !== 1) {
    throw new TypeError("the object is not a net of forebay in format version 1");
  }
  const unknown = net.layers.find(({ kind }) => !Object.hasOwn(LAYERS, kind));
  if (unknown) {
    throw new TypeError(`layer "${unknown.kind}" is not known; allowed are ${Object.keys(LAYERS).join(", ")}`);
  }
  return net;
}

// The prediction for one row, in the unit of the net's target. The row has a number for each input, in the unit of the
// readings.
export function predict(net, row) {
  let values = net.inputs.map((name) => {
    if (!Object.hasOwn(row, name) || !Number.isFinite(row[name])) {
      throw new TypeError(`input "${name}" must be a number in every row; leave out a row without it`);
    }
    return row[name];
  });
  for (const layer of net.layers) values = LAYERS[layer.kind](layer, values);
  return values[0];
}
