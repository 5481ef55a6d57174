package org.ofaedge.demo.ui;

import android.content.Context;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.BaseAdapter;
import android.widget.TextView;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.BundledModel;

/** The model picker: each model with its facts, the damaged ones marked. */
final class ModelAdapter extends BaseAdapter {
    private final Context context;
    private final List<BundledModel> models;
    private final Set<String> damaged = new HashSet<String>();

    ModelAdapter(Context context, List<BundledModel> models) {
        this.context = context;
        this.models = models;
    }

    void markDamaged(String name) {
        if (damaged.add(name)) {
            notifyDataSetChanged();
        }
    }

    @Override
    public int getCount() {
        return models.size();
    }

    @Override
    public BundledModel getItem(int position) {
        return models.get(position);
    }

    @Override
    public long getItemId(int position) {
        return position;
    }

    @Override
    public View getView(int position, View old, ViewGroup parent) {
        View row = old != null ? old : LayoutInflater.from(context).inflate(R.layout.model_row, parent, false);
        BundledModel model = getItem(position);
        ((TextView) row.findViewById(R.id.name)).setText(model.name);
        ((TextView) row.findViewById(R.id.facts)).setText(Texts.facts(context, model));
        row.findViewById(R.id.damaged).setVisibility(damaged.contains(model.name) ? View.VISIBLE : View.GONE);
        return row;
    }
}
