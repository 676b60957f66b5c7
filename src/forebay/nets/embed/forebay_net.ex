defmodule ForebayNet do
  @moduledoc """
  Predictions of a net that forebay exported as Erlang terms.

  The module needs no other package and runs on Elixir 1.14 or newer.

      net = ForebayNet.load("net.weights.term")
      ForebayNet.predict(net, %{"rain" => 12.5, "stream" => 0.43})
  """

  @doc """
  The net in a file NAME.weights.term.

  Raises `ArgumentError` if the file cannot be read or contains something else. The file contains data only: no code
  runs.
  """
  def load(path) do
    case :file.consult(path) do
      {:ok, [%{"format" => "forebay-net", "version" => 1} = net]} ->
        net

      {:ok, _terms} ->
        raise ArgumentError, "#{path} is not a net of forebay in format version 1"

      {:error, reason} ->
        raise ArgumentError, "#{path} cannot be read: #{:file.format_error(reason)}"
    end
  end

  @doc """
  The prediction for one row, in the unit of the net's target.

  The row is a map from the name of each input to its number, in the unit of the readings.
  """
  def predict(%{"inputs" => names, "layers" => layers}, row) do
    [prediction] = Enum.reduce(layers, Enum.map(names, &input(row, &1)), &apply_layer/2)
    prediction
  end

  defp input(row, name) do
    case row do
      %{^name => value} when is_number(value) ->
        value

      _row ->
        raise ArgumentError,
              "input #{inspect(name)} must be a number in every row; leave out a row without it"
    end
  end

  defp apply_layer(%{"kind" => "normalisation", "mean" => mean, "deviation" => deviation}, values) do
    Enum.zip_with([values, mean, deviation], fn [value, centre, scale] ->
      (value - centre) / scale
    end)
  end

  # One list of weights per unit, with one weight per input of the layer.
  defp apply_layer(%{"kind" => "dense", "weights" => units, "bias" => bias}, values) do
    Enum.zip_with(units, bias, fn weights, constant -> dot(weights, values) + constant end)
  end

  defp apply_layer(%{"kind" => "relu"}, values), do: Enum.map(values, &max(&1, 0.0))

  defp apply_layer(%{"kind" => kind}, _values) do
    raise ArgumentError,
          "layer #{inspect(kind)} is not known; allowed are normalisation, dense, relu"
  end

  defp dot(weights, values),
    do: Enum.zip_reduce(weights, values, 0.0, fn w, x, sum -> sum + w * x end)
end
